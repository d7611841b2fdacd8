"""How often the rules of docs/verdicts.md err: ``python docs/error_rates.py`` simulates and updates the page.

Gains are drawn with a known mean (0, or the published gain, which is 1 here) and a known trend of 0. They vary over
data sets, models and seeds within a data set, and by an error of their own. Takes about a minute of one core.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from replication.statistics.claims import ALPHA, combine
from replication.statistics.estimates import GAIN, LOSS, NO_DIFFERENCE, UNDECIDED, decide
from replication.statistics.mixed import fit_gains
from replication.statistics.paired import LEVEL

PAGE = Path(__file__).with_name("verdicts.md")
BLOCK = re.compile(r"(?<=<!-- error rates -->\n).*?(?=<!-- end -->)", re.S)
DRAWS = 200
RATIOS = 4
#: Name -> models, data sets, and standard deviations over data sets, models and seeds. The error's is 1.
DESIGNS = {"1 model, 1 data set": (1, 1, 0.0, 0.0, 0.5), "2 models, 5 data sets": (2, 5, 0.3, 0.3, 0.5)}
EFFECTS = {"none": 0.0, "as published": 1.0}
SEEDS = (3, 10)


def simulate(rng: np.random.Generator, design: tuple[int, int, float, float, float], seeds: int,
             effect: float) -> pd.DataFrame:  # fmt: skip
    """Gains of every model, data set, ratio and seed."""
    models, datasets, sd_dataset, sd_model, sd_seed = design
    index = pd.MultiIndex.from_product(
        [range(models), range(datasets), 2.0 ** -np.arange(RATIOS), range(seeds)],
        names=["model", "dataset", "ratio", "seed"],
    )
    shape = (models, datasets, RATIOS, seeds)
    gain = effect + rng.normal(size=shape)
    gain += sd_model * rng.normal(size=(models, 1, 1, 1)) + sd_dataset * rng.normal(size=(1, datasets, 1, 1))
    gain += sd_seed * rng.normal(size=(1, datasets, 1, seeds))
    return pd.DataFrame({"gain": gain.ravel()}, index=index).reset_index()


def rates(design: tuple[int, int, float, float, float], seeds: int, effect: float) -> list[float]:
    """Shares of the four results, of intervals that hold the mean and the trend, and of today's test for a gain."""
    rng = np.random.default_rng(0)
    results: Counter[str] = Counter()
    covered = np.zeros(2)
    claimed = 0
    for _ in range(DRAWS):
        table = simulate(rng, design, seeds, effect)
        fit = fit_gains(table)
        if fit is None or fit.trend is None:
            raise RuntimeError("a simulated study could not be fitted")
        results[decide(fit.mean, smallest=0.5)] += 1
        for number, (coefficient, truth) in enumerate(((fit.mean, effect), (fit.trend, 0.0))):
            low, high = coefficient.interval(LEVEL)
            covered[number] += low <= truth <= high
        wide = table.pivot_table(index=["model", "dataset", "ratio"], columns="seed", values="gain").to_numpy()
        cells = pd.DataFrame({"gain": wide.mean(axis=1), "p_t": stats.ttest_1samp(wide, 0.0, axis=1).pvalue})
        claimed += combine(cells)[0] < ALPHA
    shares = [results[name] for name in (GAIN, LOSS, NO_DIFFERENCE, UNDECIDED)]
    return [100 * float(count) / DRAWS for count in (*shares, *covered, claimed)]


def table() -> str:
    """The error rates as Markdown."""
    heads = ["Design", "Seeds", "True gain", GAIN, LOSS, NO_DIFFERENCE, UNDECIDED, "mean covered", "trend covered",
             "sign test or Stouffer says gain"]  # fmt: skip
    rows = [
        [name, seeds, truth, *rates(design, seeds, effect)]
        for (name, design), seeds, (truth, effect) in product(DESIGNS.items(), SEEDS, EFFECTS.items())
    ]
    return pd.DataFrame(rows, columns=heads).to_markdown(index=False, floatfmt=".3g") + "\n"


if __name__ == "__main__":
    text = f"Per cent of {DRAWS} simulated studies of {RATIOS} ratios.\n\n{table()}"
    PAGE.write_text(BLOCK.sub(lambda _: text, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
