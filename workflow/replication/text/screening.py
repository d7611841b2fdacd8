"""Predictions of float32 for little more than the price of bfloat16, where the processor multiplies that faster."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Rows with the smallest margins that are always computed in float32, to see how far bfloat16 is off: a number, or a
#: share where that is more.
MIN_ROWS = 32
SHARE = 0.05
#: How much larger than any error seen the errors of the other rows may be.
SAFETY = 4.0


def bfloat16_pays(device: str) -> bool:
    """Whether the processor has matrix units for bfloat16 (AMX); evaluation of MiniLM is then about 3 times as fast."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return device == "cpu" and bool(capabilities.get("amx_bf16", False))


def screened_logits(quick: Tensor, exact: Callable[[list[int]], Tensor]) -> Tensor:
    """Logits whose argmax is that of exact ones, most of them quick.

    A row's prediction can differ only where its two largest logits are closer than twice the error of the quick ones.
    Rows are therefore computed exactly in order of that margin, until the margin exceeds ``2 * SAFETY`` times the
    largest error seen. The errors of the other rows are not known: this rests on their being at most ``SAFETY`` times
    those of a sample of at least ``MIN_ROWS`` rows.

    Args:
        quick: [rows, classes] logits in low precision; rows that are not finite are computed exactly.
        exact: row numbers -> [those rows, classes] logits in full precision.

    Returns [rows, classes] float32.
    """
    logits = quick.to(torch.float32, copy=True)
    largest = logits.topk(2, dim=1).values
    margins = (largest[:, 0] - largest[:, 1]).nan_to_num(nan=0.0, posinf=0.0)
    order = margins.argsort()
    done, wanted, error = 0, min(len(logits), max(MIN_ROWS, int(SHARE * len(logits)))), 0.0
    while done < wanted:
        rows = order[done:wanted]
        found = exact(rows.tolist()).float()
        error = max(error, float((found - logits[rows]).abs().nan_to_num().max()))
        logits[rows] = found
        done, wanted = wanted, int((margins <= 2 * SAFETY * error).sum())
    return logits
