"""The bootstrap on counts: a resample of n points is how often each of them was drawn.

Statistics take `counts` [resamples, n] and give one value a resample, so no resample is ever sorted. Intervals
are those of percentiles.
"""

from collections.abc import Callable, Iterator

import numpy as np

from gtn_hpc.stats.estimate import TAILS, Array

Statistic = Callable[[Array], Array]
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


def interval(statistic: Statistic, n: int, *, rng: np.random.Generator, resamples: int) -> tuple[float, float, str]:
    """Low, high, and a note where resamples had no value (all points equal). Cost: resamples x n numbers."""
    values = resampled(statistic, n, rng, resamples)
    defined = values[np.isfinite(values)]
    if not len(defined):
        return np.nan, np.nan, "no resample had a value"
    low, high = np.quantile(defined, TAILS)
    lost = len(values) - len(defined)
    return float(low), float(high), f"{lost} of {len(values)} resamples had no value" if lost else ""
