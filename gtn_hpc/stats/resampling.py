"""The bootstrap on counts: a resample of n points is how often each of them was drawn.

Statistics take `counts` [resamples, n] and give one value a resample, so no resample is ever sorted. Intervals:
percentile, or bias-corrected and accelerated (BCa; Efron 1987, "Better Bootstrap Confidence Intervals").
"""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import scipy

from gtn_hpc.stats.estimate import Array

Statistic = Callable[[Array], Array]
Method = Literal["percentile", "bca"]
BLOCK_NUMBERS = 1 << 19


def _counts(n: int, resamples: int, rng: np.random.Generator) -> Iterator[Array]:
    """Draws of n out of n with replacement, a bounded piece at a time."""
    rows = max(1, BLOCK_NUMBERS // n)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def resampled(statistic: Statistic, n: int, rng: np.random.Generator, resamples: int) -> Array:
    """The statistic of each resample [resamples, ...]. Cost: resamples x n numbers, a bounded piece at a time."""
    return np.concatenate([statistic(counts) for counts in _counts(n, resamples, rng)])


def interval(
    statistic: Statistic,
    n: int,
    value: float,
    *,
    rng: np.random.Generator,
    resamples: int,
    level: float,
    method: Method,
) -> tuple[float, float, str]:
    """Low, high, and a note where resamples had no value (all points equal). Cost: resamples x n numbers."""
    values = resampled(statistic, n, rng, resamples)
    defined = values[np.isfinite(values)]
    if not len(defined):
        return np.nan, np.nan, "no resample had a value"
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    if method == "bca":
        tails = _corrected(tails, defined, value, _jackknife(statistic, n))
    low, high = np.quantile(defined, tails)
    lost = len(values) - len(defined)
    return float(low), float(high), f"{lost} of {len(values)} resamples had no value" if lost else ""


def _jackknife(statistic: Statistic, n: int) -> Array:
    """The statistic without each point in turn."""
    rows = max(1, BLOCK_NUMBERS // n)
    pieces = []
    for start in range(0, n, rows):
        left_out = np.arange(start, min(start + rows, n))
        counts = np.ones((len(left_out), n))
        counts[np.arange(len(left_out)), left_out] = 0
        pieces.append(statistic(counts))
    return np.concatenate(pieces)


def _corrected(tails: Array, values: Array, value: float, jackknife: Array) -> Array:
    """Quantiles to take instead of `tails`; `tails` themselves where the correction does not exist."""
    below = ((values < value).sum() + 0.5 * (values == value).sum()) / len(values)
    bias = scipy.stats.norm.ppf(below)
    lean = jackknife.mean() - jackknife
    spread = (lean**2).sum() ** 1.5
    if not np.isfinite(bias) or not spread > 0:
        return tails
    acceleration = (lean**3).sum() / (6 * spread)
    shifted = bias + scipy.stats.norm.ppf(tails)
    corrected: Array = scipy.stats.norm.cdf(bias + shifted / (1 - acceleration * shifted))
    return corrected
