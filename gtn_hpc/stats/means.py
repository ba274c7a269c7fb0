"""Means and paired differences with intervals."""

from typing import Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike

from gtn_hpc.stats.estimate import LEVEL, Array, Estimate, finite, notes, nothing
from gtn_hpc.stats.resampling import interval


def sd(values: ArrayLike) -> float:
    """Standard deviation of the population that `values` are drawn from, without those that are not finite, as `mean`;
    NaN of one value, which has none."""
    (sample,), _ = finite(values)
    return float(np.std(sample, ddof=1)) if len(sample) > 1 else np.nan


def mean(
    sample: ArrayLike,
    *,
    method: Literal["t", "percentile"] = "t",
    within: tuple[float, float] = (-np.inf, np.inf),
    rng: np.random.Generator | None = None,
    resamples: int = 10_000,
) -> Estimate:
    """The mean with Student's interval as far as it lies `within` what is possible, or with a bootstrap interval,
    which needs `rng`.

    A single point has a mean without an interval; equal points have an interval of length zero, and the note says so.
    """
    (values,), told = finite(sample)
    if len(values) < 2:
        why = "one point has no interval" if len(values) else "no points"
        value = float(values[0]) if len(values) else np.nan
        return Estimate(value, np.nan, np.nan, len(values), notes(told, why))
    average = float(values.mean())
    if np.ptp(values) == 0:
        return Estimate(average, average, average, len(values), notes(told, "all points are equal"))
    if method == "t":
        low, high = np.clip(_student(values), *within).tolist()
        return Estimate(average, low, high, len(values), told)
    if rng is None:
        raise ValueError("A bootstrap interval needs a random generator: rng=numpy.random.default_rng(seed).")
    low, high, lost = interval(
        lambda counts: counts @ values / counts.sum(axis=1), len(values), rng=rng, resamples=resamples
    )
    return Estimate(average, low, high, len(values), notes(told, lost))


def paired_difference(first: ArrayLike, second: ArrayLike) -> Estimate:
    """The mean of `first - second`, point by point (the same learner under both), with Student's interval."""
    (ours, theirs), told = finite(first, second)
    if not len(ours):
        return nothing(0, notes(told, "no points"))
    found = mean(ours - theirs)
    return Estimate(found.value, found.low, found.high, found.n, notes(told, found.note))


def signed_rank(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test (1945) that `first - second`, point by point, lies around zero.

    1 where no two points differ.
    """
    (ours, theirs), _ = finite(first, second)
    return float(scipy.stats.wilcoxon(ours, theirs).pvalue) if np.any(ours != theirs) else 1.0


def _student(values: Array) -> tuple[float, float]:
    low, high = scipy.stats.t.interval(LEVEL, len(values) - 1, loc=values.mean(), scale=scipy.stats.sem(values))
    return float(low), float(high)
