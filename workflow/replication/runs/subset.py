"""Which training rows a data ratio keeps (paper, section 4.1); the default is the released code's rule."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from replication.errors import DataError, InputError
from replication.runs.checkpoint import write_atomically
from replication.settings.spec import digest

MIN_ROWS = 2


def first_rows(n_total: int, ratio: float) -> list[int]:
    """The first ``int(n_total * ratio)`` rows, as the released NLP code takes them."""
    # The guard keeps 0.29 * 100 = 28.999... from losing the row that the ratio promises.
    return list(range(int(n_total * ratio + 1e-9)))


def strided_rows(
    n_total: int, ratio: float, strides: Mapping[str, int] | None = None, held_out: Sequence[int] = ()
) -> list[int]:
    """Every k-th row, k = ``strides[ratio]`` or ``round(1 / ratio)``: ``reduced_batch`` of the released SciML code.

    The stride counts the rows at the positions ``held_out``; the returned row numbers do not.
    """
    stride = (strides or {}).get(f"{ratio:g}", round(1 / ratio))
    out = set(held_out)
    positions = (position for position in range(n_total + len(out)) if position not in out)
    return [row for row, position in enumerate(positions) if position % stride == 0]


def stratified_rows(labels: Sequence[Any], count: int, seed: int) -> list[int]:
    """A seeded draw of ``count`` rows that keeps the classes' shares within one row."""
    import numpy as np

    generator = np.random.default_rng(seed)
    groups: dict[Any, list[int]] = {}
    for row, label in enumerate(labels):
        groups.setdefault(label, []).append(row)
    shares = {label: count * len(rows) / len(labels) for label, rows in groups.items()}
    sizes = {label: int(share) for label, share in shares.items()}
    # Largest remainder: the rows lost to rounding go to the classes that lost most.
    for label in sorted(shares, key=lambda key: (sizes[key] - shares[key], str(key)))[: count - sum(sizes.values())]:
        sizes[label] += 1
    chosen = [generator.choice(groups[label], size=size, replace=False) for label, size in sizes.items() if size]
    return sorted(int(row) for rows in chosen for row in rows)


def choose_rows(
    *,
    family: str,
    dataset: str,
    n_total: int,
    ratio: float,
    rule: str = "released",
    seed: int = 0,
    strides: Mapping[str, int] | None = None,
    held_out: Sequence[int] = (),
    labels: Sequence[Any] | None = None,
) -> list[int]:
    """Row numbers (0-based, ascending) of the training pool that a ratio keeps.

    Args:
        family: ``nlp`` (first rows) or ``sciml`` (every k-th row).
        dataset: name for error messages.
        n_total: rows of the pool.
        ratio: share to keep, in (0, 1].
        rule: ``released``, ``random`` or ``stratified``; the last two draw with ``seed``.
        strides: ratio as text -> stride, for the strided rule.
        held_out: positions, in the published training set, of the rows held out for validation. A ratio is a share
            of the whole set, so the paper's number of rows is kept if the pool has as many.
        labels: the pool's class labels, or None if there are no classes.

    Raises InputError if fewer than two rows remain, a class is left empty, or the rule does not fit.
    """
    if not 0 < ratio <= 1:
        raise InputError(f"ratio {ratio:g} of {dataset}: expected a number above 0 and at most 1")
    if family == "nlp":
        released = first_rows(n_total + len(held_out), ratio)[:n_total]
    else:
        released = strided_rows(n_total, ratio, strides, held_out)
    if len(released) < MIN_ROWS:
        raise InputError(
            f"ratio {ratio:g} of {dataset} keeps {len(released)} of {n_total} training rows; "
            f"at least {MIN_ROWS} are needed, so the ratio must be at least {MIN_ROWS / max(n_total, 1):.2g}"
        )
    if rule == "released":
        rows = released
    elif rule == "random":
        import numpy as np

        rows = sorted(np.random.default_rng(seed).choice(n_total, size=len(released), replace=False).tolist())
    elif rule == "stratified":
        if labels is None:
            raise InputError(f"subset.rule is 'stratified', but {dataset} has no classes; use 'random' or 'released'")
        rows = stratified_rows(labels, len(released), seed)
    else:
        raise InputError(f"subset.rule is {rule!r}, expected released, random or stratified")
    if labels is not None and (empty := set(labels) - {labels[row] for row in rows}):
        raise InputError(
            f"ratio {ratio:g} of {dataset} leaves no training row of class {', '.join(sorted(map(str, empty)))}; "
            "take a larger ratio, or set subset.rule to 'stratified'"
        )
    return rows


def write_subset(path: Path, rows: Sequence[int], **about: Any) -> None:
    """Write the row numbers with their hash."""
    write_atomically(path, json.dumps({**about, "n": len(rows), "sha256": digest(list(rows), 64), "rows": list(rows)}))


def read_subset(path: Path) -> list[int]:
    """The row numbers of a subset file. Raises DataError if it is missing or damaged, or if its hash is wrong."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows, expected = content["rows"], content["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a subset file ({error}); delete it and run again") from None
    if digest(rows, 64) != expected:
        raise DataError(f"{path}: the rows do not agree with their hash; delete the file and run again")
    numbers = isinstance(rows, list) and len(rows) >= MIN_ROWS and all(type(row) is int and row >= 0 for row in rows)
    if not numbers or any(row >= after for row, after in pairwise(rows)):
        raise DataError(
            f"{path}: not a subset file (expected at least {MIN_ROWS} row numbers, ascending, none twice); "
            "delete it and run again"
        )
    return rows


def check_rows(rows: Sequence[int], pool: int, data: Path) -> None:
    """Raise DataError if a subset names a row that a training pool of ``pool`` rows does not have."""
    if max(rows) >= pool:
        raise DataError(
            f"{data}: the subset names row {max(rows)}, the training pool has {pool} rows; make the subset again"
        )
