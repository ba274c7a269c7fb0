"""Rank correlations of the teacher's estimates, and of other predictors, with the truth."""

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd

from gtn_hpc import stats
from gtn_hpc.core.streams import BOOTSTRAP, numpy_rng
from gtn_hpc.stats import Estimate

STATISTICS = {"Spearman": stats.spearman, "Kendall": stats.kendall}
SUBSETS = {"all": None, "top half": 0.5}
"""Share of architectures, those with the best estimates."""


def generator(seed: int) -> np.random.Generator:
    """That of the search's certificate, so that its intervals are those of figures and tables."""
    return numpy_rng(seed, BOOTSTRAP)


def correlations(pairs: pd.DataFrame, seed: int = 0, resamples: int = 10_000) -> pd.DataFrame:
    """Spearman and Kendall of estimate and truth, over all and over the top half by estimate, with intervals.

    Columns: subset, statistic, value, low, high, n, note. Cost: as `stats.kendall`, twice.
    """
    rows, rng, ordered = [], generator(seed), pairs.sort_values("arch")
    for (subset, share), (name, statistic) in itertools.product(SUBSETS.items(), STATISTICS.items()):
        found = statistic(ordered["estimate"], ordered["truth"], rng=rng, resamples=resamples, top=share)
        rows.append({"subset": subset, "statistic": name, **_plain(found)})
    return pd.DataFrame(rows)


def rivals(
    pairs: pd.DataFrame, others: Mapping[str, "pd.Series[float]"], seed: int = 0, resamples: int = 10_000
) -> pd.DataFrame:
    """The teacher beside other ways to rank: each on the architectures that it and the teacher both have.

    Columns: name, value, low, high, n, note (Spearman), and `ahead`, `ahead_low`, `ahead_high`: how much higher the
    teacher's is on the same resamples. The number of parameters is always among them.
    """
    table = pairs.set_index("arch").sort_index()
    rows = []
    for name, predictor in {"parameters": table["params"], **others}.items():
        both = table.assign(other=predictor).dropna(subset=["other"])
        own = stats.spearman(both["other"], both["truth"], rng=generator(seed), resamples=resamples)
        ahead = stats.spearman_difference(
            both["estimate"], both["other"], both["truth"], rng=generator(seed), resamples=resamples
        )
        rows.append(
            {"name": name, **_plain(own), "ahead": ahead.value, "ahead_low": ahead.low, "ahead_high": ahead.high}
        )
    return pd.DataFrame(rows)


def _plain(found: Estimate) -> dict[str, float | int | str]:
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n, "note": found.note}
