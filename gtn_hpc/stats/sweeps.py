"""A way that gets better with its cost, beside a fixed one: from which cost on it does as well."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gtn_hpc.stats.correlation import spearman_of_counts, undefined
from gtn_hpc.stats.estimate import TAILS, Array, Estimate, finite, notes, nothing
from gtn_hpc.stats.resampling import Statistic, resampled


@dataclass(frozen=True)
class Sweep:
    """Spearman's rho, or the mean, of the `reference` and of the `candidates`, one a cost, all with intervals from one
    set of resamples; `meets` is the lowest cost at which a candidate does as well as the reference.

    Between two costs the value is taken as a straight line over the logarithm of the cost. Where the cheapest
    candidate does as well already, `meets` is its cost: it may be less. Where none does, `meets` is infinite. The same
    holds for the ends of its interval; `at_once` and `never` are the shares of resamples in which it was so.
    """

    reference: Estimate
    candidates: tuple[Estimate, ...]
    meets: Estimate
    at_once: float
    never: float


def spearman_sweep(
    reference: ArrayLike,
    candidates: Sequence[ArrayLike],
    costs: Sequence[float],
    truth: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = 10_000,
) -> Sweep:
    """By rank correlation with `truth`, over the points that all have; `costs` (positive, rising) are those of the
    `candidates`.

    A candidate that ranks nothing (the same for all points) has no value and does not reach anything. Without a
    reference or a truth that ranks there is none of the others either, and a resample without them is left out. Cost:
    as `spearman`, for each candidate.

    Raises:
        ValueError: costs do not rise, or are not as many as candidates.
    """
    _check(costs, candidates)
    (real, first, *others), told = finite(truth, reference, *candidates)
    if why := undefined(first, real):
        none = nothing(len(real), notes(told, why))
        return Sweep(none, (none,) * len(others), none, np.nan, np.nan)
    rows = [first, *others]
    values = np.array([_rho(row, real) for row in rows])
    drawn = resampled(_all(rows, real), len(real), rng, resamples)
    return _sweep(values, drawn, costs, len(real), told)


def mean_sweep(
    reference: ArrayLike,
    candidates: Sequence[ArrayLike],
    costs: Sequence[float],
    *,
    rng: np.random.Generator,
    resamples: int = 10_000,
) -> Sweep:
    """By the mean, of samples that belong together point by point; arguments and cost as for `spearman_sweep`.

    Raises:
        ValueError: costs do not rise, or are not as many as candidates.
    """
    _check(costs, candidates)
    samples, told = finite(reference, *candidates)
    rows, n = np.array(samples), len(samples[0])
    if not n:
        none = nothing(0, notes(told, "no points"))
        return Sweep(none, (none,) * len(candidates), none, np.nan, np.nan)
    drawn = resampled(lambda counts: counts @ rows.T / n, n, rng, resamples)
    return _sweep(rows.mean(axis=1), drawn, costs, n, told)


def _check(costs: Sequence[float], candidates: Sequence[ArrayLike]) -> None:
    if len(costs) != len(candidates) or not candidates or np.any(np.diff([0.0, *costs]) <= 0):
        raise ValueError(f"{len(candidates)} candidates need as many costs that rise, not {list(costs)}.")


def _sweep(values: Array, drawn: Array, costs: Sequence[float], n: int, told: str) -> Sweep:
    """From values [1 + costs], the reference's first, and those of resamples [resamples, 1 + costs]."""
    at, value = np.asarray(costs, dtype=np.float64), float(_crossing(values[None], np.asarray(costs))[0])
    known = drawn[np.isfinite(drawn[:, 0])]
    if n < 2 or not len(known):
        told = notes(told, "one point has no interval" if n < 2 else "no resample had a value")
        alone = [Estimate(float(v), np.nan, np.nan, n, told) for v in (*values, value)]
        return Sweep(alone[0], tuple(alone[1:-1]), alone[-1], np.nan, np.nan)
    told = notes(told, f"{lost} of {len(drawn)} resamples had no value" if (lost := len(drawn) - len(known)) else "")
    estimates = [_estimate(v, column, n, told) for v, column in zip(values, known.T, strict=True)]
    met = _crossing(known, at)
    low, high = np.quantile(met, TAILS, method="inverted_cdf")
    meets = Estimate(value, float(low), float(high), n, told)
    at_once, never = float(np.mean(met <= costs[0])), float(np.mean(np.isinf(met)))
    return Sweep(estimates[0], tuple(estimates[1:]), meets, at_once, never)


def _rho(row: Array, truth: Array) -> float:
    return np.nan if undefined(row, truth) else float(spearman_of_counts(row, truth)(np.ones((1, len(row))))[0])


def _all(rows: Sequence[Array], truth: Array) -> Statistic:
    """Of counts to rho [resamples, rows]."""
    statistics = [spearman_of_counts(row, truth) for row in rows]
    return lambda counts: np.stack([statistic(counts) for statistic in statistics], axis=1)


def _estimate(value: float, drawn: Array, n: int, told: str) -> Estimate:
    if not np.isfinite(value):
        return nothing(n, notes(told, "the same for all points: it ranks nothing"))
    low, high = np.nanquantile(drawn, TAILS)
    return Estimate(value, float(low), float(high), n, told)


def _crossing(values: Array, costs: Array) -> Array:
    """From values [rows, 1 + costs], the reference's first, to the cost at which it is first reached."""
    ahead = np.nan_to_num(values[:, 1:], nan=-np.inf) - np.nan_to_num(values[:, :1], nan=np.inf)
    reached = ahead >= 0
    first = np.argmax(reached, axis=1)
    before, rows = np.maximum(first - 1, 0), np.arange(len(values))
    over = ahead[rows, first]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.nan_to_num(over / (over - ahead[rows, before]))
        between = costs[first] * (costs[before] / costs[first]) ** share
    return np.where(reached.any(axis=1), np.where(first == 0, costs[0], between), np.inf)
