"""Rank correlations of an estimate with the truth (the paper's section on NAS: does the teacher rank rightly?)."""

import math
from collections.abc import Callable

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from gtn_hpc.stats.estimate import Array, Estimate, finite, notes, nothing
from gtn_hpc.stats.resampling import Statistic, interval

FEWEST = 3
"""Points below which a rank correlation says nothing."""

FEW = 8
"""Points below which its interval is too narrow: of 3 it covers the truth in half of the cases, of 5 in 86 %."""

LARGEST = 2_000
"""Points up to which Kendall's interval is made from all of them."""


def spearman(
    estimate: ArrayLike,
    truth: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = 10_000,
    top: float | None = None,
) -> Estimate:
    """Spearman's rho with a bootstrap interval over the points; ties share their mean rank.

    `top` (0 to 1] keeps that share of the points, those with the highest estimate, and all that are tied with the last
    of them. Constant samples and fewer than three points have no value, and with fewer than eight the interval is too
    narrow: the note says so. Cost: 10,000 resamples of 1,000 points in about a second.
    """
    first, second, told = _points(estimate, truth, top)
    if why := undefined(first, second):
        return nothing(len(first), notes(told, why))
    value = float(scipy.stats.spearmanr(first, second).statistic)
    low, high, lost = interval(spearman_of_counts(first, second), len(first), rng=rng, resamples=resamples)
    return Estimate(
        value, low, high, len(first), notes(told, _ties(first, second), lost, _trust(len(first), low, high))
    )


def kendall(
    estimate: ArrayLike,
    truth: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = 10_000,
    top: float | None = None,
) -> Estimate:
    """Kendall's tau-b with a bootstrap interval; arguments and notes as for `spearman`.

    The value is always that of all points. With more than 2,000 the interval is that of 2,000 of them, drawn with
    `rng`, made narrower by the root of their share (it shrinks as 1 / sqrt(n)) and put around the value; the note says
    so. Cost: 10,000 resamples of 1,000 points in about a second, of 2,000 and of any larger number in four; memory: 7
    bytes a pair of points, 28 MB at most.
    """
    first, second, told = _points(estimate, truth, top)
    if why := undefined(first, second):
        return nothing(len(first), notes(told, why))
    value = float(scipy.stats.kendalltau(first, second).statistic)
    low, high, lost = _kendall_interval(first, second, value, rng=rng, resamples=resamples)
    return Estimate(
        value, low, high, len(first), notes(told, _ties(first, second), lost, _trust(len(first), low, high))
    )


def _kendall_interval(
    first: Array, second: Array, value: float, *, rng: np.random.Generator, resamples: int
) -> tuple[float, float, str]:
    n = len(first)
    if n > LARGEST:
        drawn = rng.choice(n, LARGEST, replace=False)
        part, told = (first[drawn], second[drawn]), f"interval of {LARGEST} of the points, scaled to {n}"
        if why := undefined(*part):
            return math.nan, math.nan, notes(told, why)
        middle = float(scipy.stats.kendalltau(*part).statistic)
        low, high, lost = _kendall_interval(*part, middle, rng=rng, resamples=resamples)
        low, high = (value + (end - middle) * math.sqrt(LARGEST / n) for end in (low, high))
        return max(low, -1.0), min(high, 1.0), notes(told, lost)
    return interval(_kendall_of_counts(first, second), n, rng=rng, resamples=resamples)


def spearman_difference(
    first: ArrayLike, second: ArrayLike, truth: ArrayLike, *, rng: np.random.Generator, resamples: int = 10_000
) -> Estimate:
    """How much better `first` ranks the truth than `second`: the difference of their rho, on the same resamples."""
    (ours, theirs, real), told = finite(first, second, truth)
    if why := undefined(ours, real) or undefined(theirs, real):
        return nothing(len(real), notes(told, why))
    value = float(scipy.stats.spearmanr(ours, real).statistic - scipy.stats.spearmanr(theirs, real).statistic)
    one, other = spearman_of_counts(ours, real), spearman_of_counts(theirs, real)
    low, high, lost = interval(lambda counts: one(counts) - other(counts), len(real), rng=rng, resamples=resamples)
    return Estimate(value, low, high, len(real), notes(told, lost))


def _points(estimate: ArrayLike, truth: ArrayLike, top: float | None) -> tuple[Array, Array, str]:
    (first, second), told = finite(estimate, truth)
    if top is None:
        return first, second, told
    if not 0 < top <= 1:
        raise ValueError(f"The share of best points must lie in (0, 1], not {top}.")
    if not len(first):
        return first, second, told
    kept = max(1, round(top * len(first)))
    best = first >= np.sort(first)[-kept]
    tied = int(best.sum()) - kept
    return first[best], second[best], notes(told, f"{tied} more are tied with the last of the best" if tied else "")


def undefined(first: Array, second: Array) -> str:
    """Why points have no rank correlation; '' where they have one."""
    if len(first) < FEWEST:
        return f"{len(first)} points are too few to rank"
    if np.ptp(first) == 0:
        return "the estimate is the same for all points: it ranks nothing"
    return "the truth is the same for all points: there is no rank to find" if np.ptp(second) == 0 else ""


def _trust(n: int, low: float, high: float) -> str:
    """What the interval does not cover."""
    if n < FEW:
        return f"the interval of {n} points is too narrow"
    return "all resamples rank alike" if low == high else ""


def _ties(first: Array, second: Array) -> str:
    told = []
    for name, sample in (("estimate", first), ("truth", second)):
        _, counts = np.unique(sample, return_counts=True)
        if tied := int(counts[counts > 1].sum()):
            told.append(f"{tied} of {len(sample)} values of the {name} are tied")
    return notes(*told)


def _group(sample: Array) -> Callable[[Array], tuple[Array, NDArray[np.intp]]]:
    """From counts to the counts of each distinct value in order [resamples, values], and where each point belongs."""
    order = np.argsort(sample, kind="stable")
    distinct, place = np.unique(sample, return_inverse=True)
    starts = np.searchsorted(sample[order], distinct)
    place = place.astype(np.intp)
    if len(distinct) == len(sample):  # adding up groups of one would take half of the time
        return lambda counts: (counts[:, order], place)
    return lambda counts: (np.asarray(np.add.reduceat(counts[:, order], starts, axis=1)), place)


def _ranks(sample: Array) -> Callable[[Array], Array]:
    """From counts to each point's mean rank in its resample."""
    group = _group(sample)

    def ranks(counts: Array) -> Array:
        sizes, place = group(counts)
        mean_rank: Array = np.cumsum(sizes, axis=1) - (sizes - 1) / 2
        return mean_rank[:, place]

    return ranks


def spearman_of_counts(first: Array, second: Array) -> Statistic:
    """Spearman's rho of each resample; NaN where a sample is constant in it."""
    ranks_of_first, ranks_of_second = _ranks(first), _ranks(second)

    def rho(counts: Array) -> Array:
        middle = (counts.sum(axis=1, keepdims=True) + 1) / 2
        a, b = ranks_of_first(counts) - middle, ranks_of_second(counts) - middle
        weighted = counts * a
        product = np.einsum("rn,rn->r", weighted, b)
        spread = np.einsum("rn,rn->r", weighted, a) * np.einsum("rn,rn,rn->r", counts, b, b)
        return _ratio(product, np.sqrt(spread))

    return rho


def _kendall_of_counts(first: Array, second: Array) -> Statistic:
    groups = _group(first), _group(second)
    agree = (_signs(first) * _signs(second)).astype(np.float32)

    def tau(counts: Array) -> Array:
        balance = np.einsum("rn,rn->r", counts.astype(np.float32) @ agree, counts) / 2
        total = counts.sum(axis=1)
        untied = [_pairs(total) - _pairs(group(counts)[0]).sum(axis=1) for group in groups]
        return _ratio(balance, np.sqrt(untied[0]) * np.sqrt(untied[1]))

    return tau


def _signs(sample: Array) -> NDArray[np.int8]:
    """Sign of the difference of each pair [n, n]."""
    signs: NDArray[np.int8] = (sample[:, None] > sample).view(np.int8) - (sample[:, None] < sample).view(np.int8)
    return signs


def _pairs(counts: Array) -> Array:
    return counts * (counts - 1) / 2


def _ratio(numerator: Array, denominator: Array) -> Array:
    """NaN where a resample had no spread."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
