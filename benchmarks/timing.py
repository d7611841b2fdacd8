"""Timing for the benchmarks: variants take turns, and what is quoted is the ratio of a variant to the first.

A machine's other load then hits all variants alike. Rows are dictionaries with these keys:

    benchmark  the module
    name       what is timed; a table section and, over several sizes, a panel of the plot, whose axis is named after
               what follows "against"
    size       a number where cost is plotted against it, else a label
    variant    how it is done; the first of a (name, size) is the reference
    seconds    median over rounds
    ratio      median over rounds of seconds / seconds of the reference in the same round
    spread     [lower quartile, upper quartile] of that ratio; of seconds / median for the reference itself
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]


def seconds_of(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def take_turns(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every call in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            seconds[name].append(seconds_of(call))
    return seconds


def rows(benchmark: str, name: str, size: float | str, seconds: Mapping[str, Sequence[float]]) -> list[Row]:
    """One row a variant from the seconds of its rounds; the first variant is the reference."""
    reference = np.asarray(next(iter(seconds.values())))
    made: list[Row] = []
    for variant, values in seconds.items():
        ratios = np.asarray(values) / (reference if made else np.median(reference))
        made.append(
            {
                "benchmark": benchmark,
                "name": name,
                "size": size,
                "variant": variant,
                "seconds": float(np.median(values)),
                "ratio": float(np.median(ratios)),
                "spread": [float(q) for q in np.quantile(ratios, (0.25, 0.75))],
            }
        )
    return made


def show(found: Sequence[Row]) -> None:
    """Print rows, for a benchmark that is run by itself."""
    for row in found:
        spread = " to ".join(f"{value:.3g}" for value in row.get("spread", ()))
        numbers = f"{row['seconds']:8.3g} s  {row['ratio']:5.3g} ({spread})" if "seconds" in row else f"{row}"
        print(f"{row['name']:50}  {row.get('size', '')!s:>8}  {row.get('variant', ''):28}  {numbers}")
