"""Numbers as text, rounded by their uncertainty."""

from __future__ import annotations

import math

MINUS = "\N{MINUS SIGN}"


def decimals_for(spread: float) -> int:
    """Decimals that show two significant figures of a spread: from one to five; two without a spread."""
    if not math.isfinite(spread) or spread <= 0:
        return 2
    return min(max(1 - math.floor(math.log10(spread)), 1), 5)


def number(value: float, decimals: int, *, signed: bool = False) -> str:
    """A number with a true minus sign; ``n/a`` if it is missing or infinite."""
    if not math.isfinite(value):
        return "n/a"
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    return text.replace("-", MINUS)


def with_uncertainty(mean: float, sd: float) -> str:
    """``81.24 ± 0.45``: mean and standard deviation, both rounded to two figures of the deviation.

    Without a deviation, the mean has four significant figures.
    """
    if not math.isfinite(mean):
        return "n/a"
    if not math.isfinite(sd):
        return f"{mean:.4g}".replace("-", MINUS)
    decimals = decimals_for(sd)
    return f"{number(mean, decimals)} ± {number(sd, decimals)}"


def interval(low: float, high: float) -> str:
    """``[+0.4, +1.9]``, rounded by its width; empty if there is no interval."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    decimals = decimals_for((high - low) / 4)
    return f"[{number(low, decimals, signed=True)}, {number(high, decimals, signed=True)}]"


def gain_text(gain: float, low: float, high: float) -> str:
    """``+1.2 [+0.4, +1.9]``: gain and interval, with the same number of decimals."""
    edges = interval(low, high)
    decimals = decimals_for((high - low) / 4) if edges else 2
    return f"{number(gain, decimals, signed=True)} {edges}".strip()


def p_text(value: float) -> str:
    """A p-value with three decimals, or ``< .001``."""
    if not math.isfinite(value):
        return "n/a"
    return "< .001" if value < 0.001 else f"{value:.3f}"


def percent_text(ratio: float) -> str:
    """A ratio in per cent: ``0.88 %``."""
    return f"{100 * ratio:.3g} %"


def count_text(count: int, noun: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{count} {noun}{'s' * (count != 1)}"
