"""Mean gain and trend of a family by a linear mixed model, with random effects of data set, model and seed.

Cells share data sets, models and, within a data set and seed, the rows of the subset, so they are not independent.
The model has

    gain = mean + trend * halvings + u[data set] + v[model] + w[data set, seed] + error,

where ``halvings`` is how often the data were halved, centred. Seeds are nested in data sets: seed 13 draws the same
rows for every model and ratio of a data set, but has nothing in common with seed 13 of another one. Variances are
REML estimates. Intervals are Student's with Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946; as in
lmerTest, Kuznetsova et al., J. Stat. Softw. 82, 2017), because normal quantiles are too narrow for three seeds.

The tests compare this with statsmodels' MixedLM. MixedLM itself is not used: it has no such degrees of freedom, and
inverts a Hessian that is singular if a variance is zero, which is common here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.floating]
#: Random effect -> the columns that identify its levels.
EFFECTS = {"model": ["model"], "data set": ["dataset"], "seed": ["dataset", "seed"]}
#: A variance below this fraction of the residual variance counts as zero.
NEGLIGIBLE = 1e-6


@dataclass(frozen=True)
class Coefficient:
    """A fixed effect: estimate, standard error, degrees of freedom."""

    estimate: float
    error: float
    df: float

    def interval(self, level: float) -> tuple[float, float]:
        """Student's interval at a level such as .95; NaN if the standard error is not known."""
        from scipy import stats

        half = float(stats.t.ppf((1 + level) / 2, self.df)) * self.error
        return self.estimate - half, self.estimate + half


@dataclass(frozen=True)
class MixedFit:
    """A fitted model.

    ``mean`` is the mean gain at the centre of the ratios, in the gains' unit; ``trend`` its change per halving of the
    data, None if there is only one ratio; ``random`` names the random effects whose variance is not zero.
    """

    mean: Coefficient
    trend: Coefficient | None
    random: tuple[str, ...]


def fit_gains(gains: pd.DataFrame) -> MixedFit | None:
    """Fit the mixed model to :func:`replication.statistics.paired.gains`, one row per cell and seed.

    Returns None if the gains do not vary or leave no degree of freedom.
    """
    halvings = -np.log2(gains["ratio"].to_numpy(float))
    several = len(np.unique(halvings)) > 1
    design = np.column_stack([np.ones(len(gains)), *([halvings - halvings.mean()] if several else [])])
    y = gains["gain"].to_numpy(float)
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    if len(y) <= design.shape[1] or np.allclose(residual, 0, atol=1e-12 * np.abs(y).max()):
        return None
    blocks = _indicators(gains)
    variances = _reml(y, design, list(blocks.values()), float(residual @ residual) / (len(y) - design.shape[1]))
    random = tuple(name for name, value in zip(blocks, variances[1:], strict=True) if value > 0)
    parts: list[Array] = [np.eye(len(y)), *(blocks[name] @ blocks[name].T for name in random)]
    coefficients = _fixed(y, design, parts, variances[variances > 0])
    return MixedFit(coefficients[0], coefficients[1] if several else None, random)


def _indicators(gains: pd.DataFrame) -> dict[str, Array]:
    """Random effect -> indicators ``[rows, levels]``. An effect needs at least two levels, and fewer than rows."""
    blocks: dict[str, Array] = {}
    for name, columns in EFFECTS.items():
        codes = gains.groupby(columns, sort=False).ngroup().to_numpy()
        levels = codes.max() + 1
        if 1 < levels < len(gains):
            blocks[name] = np.eye(levels)[codes]
    return blocks


def _reml(y: Array, design: Array, blocks: list[Array], start: float) -> Array:
    """REML variances: the error's, then each random effect's."""
    from scipy.optimize import minimize

    rows, fixed = design.shape
    # By Woodbury's identity, matrices are as large as the number of levels, not of gains.
    levels = np.concatenate([np.zeros((rows, 0)), *blocks], axis=1)
    owner = np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks])
    data = np.column_stack([design, y / np.sqrt(start)])
    squares, shared, within = data.T @ data, levels.T @ data, levels.T @ levels

    def deviance(roots: Array) -> float:
        """Minus twice the restricted log-likelihood, without its constant; roots are squared to variances."""
        error, scales = roots[0] ** 2 + NEGLIGIBLE, roots[1:][owner]
        inner = np.eye(len(owner)) + scales[:, None] * within * scales / error
        moved = scales[:, None] * shared / error
        products = squares / error - moved.T @ np.linalg.solve(inner, moved)
        normal, moment = products[:fixed, :fixed], products[:fixed, fixed]
        quadratic = products[fixed, fixed] - moment @ np.linalg.solve(normal, moment)
        determinants = np.linalg.slogdet(inner)[1] + np.linalg.slogdet(normal)[1] + rows * np.log(error)
        return float(determinants + quadratic)

    best = minimize(deviance, np.full(1 + len(blocks), 0.7), method="L-BFGS-B", options={"ftol": 1e-10}).x ** 2
    best[0] += NEGLIGIBLE
    return np.where(best > NEGLIGIBLE, best, 0.0) * start


def _fixed(y: Array, design: Array, parts: list[Array], variances: Array) -> list[Coefficient]:
    """Generalised least squares with the given variances, and Satterthwaite's degrees of freedom."""
    inverse = np.linalg.inv(np.tensordot(variances, np.stack(parts), axes=1))
    covariance = np.linalg.inv(design.T @ inverse @ design)
    estimates = covariance @ design.T @ inverse @ y
    projection = inverse - inverse @ design @ covariance @ design.T @ inverse
    # Expected REML information of the variances, then the gradient of each coefficient's variance.
    moved = [projection @ part for part in parts]
    information = np.array([[np.sum(a * b.T) / 2 for b in moved] for a in moved])
    spread = np.linalg.pinv(information)
    weights = inverse @ design @ covariance
    found = []
    for column, estimate in enumerate(estimates):
        gradient = np.array([weights[:, column] @ part @ weights[:, column] for part in parts])
        variance = covariance[column, column]
        df = 2 * variance**2 / float(gradient @ spread @ gradient)
        found.append(Coefficient(float(estimate), float(np.sqrt(variance)), max(df, 1.0)))
    return found
