"""The data of both examples: a CSV of tickets in three classes, and an HDF5 file of waves in PDEBench's layout.

``python examples/make_data.py`` writes them beside the examples; the same bytes each time.
"""

from __future__ import annotations

import csv
import random
import sys
from pathlib import Path

import h5py
import numpy as np

TOPICS = {
    "billing": ["the invoice", "my refund", "this payment", "the monthly charge", "our receipt"],
    "delivery": ["the parcel", "my order", "the courier", "our shipment", "this package"],
    "account": ["my password", "the login page", "our profile", "the email address", "this username"],
}
PROBLEMS = ["is wrong", "has not arrived", "keeps failing", "was changed twice", "looks strange", "is missing"]
ENDINGS = ["", "please help", "since monday", "again", "and I need it today"]


def write_tickets(path: Path, rows: int = 330) -> None:
    """Rows of text and label; one ticket in ten has the text of another class."""
    draw = random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["ticket", "team"])
        for number in range(rows):
            label = list(TOPICS)[number % len(TOPICS)]
            topic = label if draw.random() < 0.9 else draw.choice(list(TOPICS))
            words = [draw.choice(TOPICS[topic]), draw.choice(PROBLEMS), draw.choice(ENDINGS)]
            table.writerow([" ".join(words).strip(), label])


def write_waves(path: Path, samples: int = 52, cells: int = 24, frames: int = 14) -> None:
    """Waves that a uniform flow carries along: density, pressure and velocity ``[sample, time, x]``."""
    rng = np.random.default_rng(0)
    x, t = np.arange(cells) / cells, np.linspace(0, 2.6, frames)
    speed, phase, height = (rng.uniform(low, high, samples) for low, high in ((0.3, 1.0), (0.0, 1.0), (0.2, 0.8)))
    position = x[None, None, :] - speed[:, None, None] * t[None, :, None] + phase[:, None, None]
    density = 2.0 + height[:, None, None] * np.sin(2 * np.pi * position)
    fields = {
        "density": density,
        "pressure": 1.0 + 0.1 * density**2,
        "Vx": np.broadcast_to(speed[:, None, None], density.shape),
    }
    with h5py.File(path, "w") as file:
        for name, values in fields.items():
            file.create_dataset(name, data=values.astype(np.float32), track_times=False)
        file.create_dataset("x-coordinate", data=x.astype(np.float32), track_times=False)
        file.create_dataset("t-coordinate", data=t.astype(np.float32), track_times=False)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    write_tickets(folder / "tickets/tickets.csv")
    write_waves(folder / "waves/waves.h5")
