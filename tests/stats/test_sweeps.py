"""From which cost on a way to rank is as good as another: values, intervals, and what is never or at once so."""

import numpy as np
import pytest

from gtn_hpc import stats
from gtn_hpc.core.streams import numpy_rng

COSTS = (1, 2, 4, 8, 16)


def rng(*names):
    return numpy_rng(0, "sweeps", *names)


def noisy(truth, noise, *names):
    return truth + noise * rng(*names).normal(size=len(truth))


def ladder(truth, noises=(9.0, 4.0, 2.0, 1.0, 0.3)):
    return [noisy(truth, noise, k) for k, noise in enumerate(noises)]


def test_each_correlation_is_that_of_spearman_with_its_interval():
    truth = rng("truth").normal(size=60)
    reference, candidates = noisy(truth, 1.0, "teacher"), ladder(truth)
    found = stats.spearman_sweep(reference, candidates, COSTS, truth, rng=rng(), resamples=400)
    for estimate, row in zip((found.reference, *found.candidates), (reference, *candidates), strict=True):
        alone = stats.spearman(row, truth, rng=rng(), resamples=400)
        assert (estimate.value, estimate.low, estimate.high, estimate.n) == pytest.approx(
            (alone.value, alone.low, alone.high, alone.n), abs=1e-12
        )


def test_it_meets_where_the_lines_cross():
    truth = rng("truth").normal(size=400)
    candidates = ladder(truth)
    rho = [stats.spearman(row, truth, rng=rng(), resamples=2).value for row in candidates]
    reference = noisy(truth, 1.4, "teacher")
    level = stats.spearman(reference, truth, rng=rng(), resamples=2).value
    assert rho[2] < level < rho[3]
    found = stats.spearman_sweep(reference, candidates, COSTS, truth, rng=rng(), resamples=400)
    assert np.log2(found.meets.value) == pytest.approx(2 + (level - rho[2]) / (rho[3] - rho[2]))
    assert 4 / 1.5 < found.meets.low < found.meets.value < found.meets.high < 8 * 1.5
    assert (found.at_once, found.never) == (0, 0)


def test_the_reference_itself_is_met_at_its_cost():
    truth = rng("truth").normal(size=40)
    candidates = ladder(truth)
    found = stats.spearman_sweep(candidates[2], candidates, COSTS, truth, rng=rng(), resamples=200)
    assert found.meets.value == pytest.approx(4)
    assert found.meets.high <= 4 * (1 + 1e-12)


def test_never_is_infinite_and_at_once_is_the_first_cost():
    truth = rng("truth").normal(size=80)
    never = stats.spearman_sweep(noisy(truth, 0.01, "t"), ladder(truth), COSTS, truth, rng=rng(), resamples=200)
    assert (never.meets.value, never.meets.high, never.never, never.at_once) == (np.inf, np.inf, 1, 0)
    at_once = stats.spearman_sweep(
        noisy(truth, 90.0, "t"), ladder(truth, (1.0,) * 5), COSTS, truth, rng=rng(), resamples=200
    )
    assert (at_once.meets.value, at_once.meets.low, at_once.at_once) == (1, 1, 1)


def test_an_interval_may_end_at_never():
    truth = rng("truth").normal(size=25)
    found = stats.spearman_sweep(noisy(truth, 0.35, "t"), ladder(truth), COSTS, truth, rng=rng(), resamples=500)
    assert 0.05 < found.never < 0.95
    assert np.isfinite(found.meets.low)
    assert np.isinf(found.meets.high)


def test_intervals_of_the_crossing_cover_at_the_stated_rate():
    """With 80 points; the crossing in the population is that of 50,000."""
    many = rng("population").normal(size=50_000)
    noises = (9.0, 4.0, 2.0, 1.0, 0.3)
    rho = [stats.spearman(noisy(many, noise, "p"), many, rng=rng(), resamples=2).value for noise in (*noises, 1.4)]
    expected = 2 ** (2 + (rho[5] - rho[2]) / (rho[3] - rho[2]))
    covered, draws = 0, rng("coverage")
    for _ in range(400):
        truth, *noise = draws.normal(size=(7, 80))
        candidates = [truth + scale * row for scale, row in zip(noises, noise, strict=False)]
        found = stats.spearman_sweep(truth + 1.4 * noise[5], candidates, COSTS, truth, rng=draws, resamples=100)
        covered += found.meets.low <= expected <= found.meets.high
    assert 0.9 <= covered / 400 <= 0.985


def test_candidates_that_rank_nothing_reach_nothing():
    truth = rng("truth").normal(size=30)
    flat = [np.zeros(30), np.zeros(30), truth]
    found = stats.spearman_sweep(noisy(truth, 0.3, "t"), flat, (1, 2, 4), truth, rng=rng(), resamples=100)
    assert "ranks nothing" in found.candidates[0].note
    assert found.meets.value == 4
    lost = stats.spearman_sweep(np.zeros(30), flat, (1, 2, 4), truth, rng=rng(), resamples=100)
    assert np.isnan(lost.meets.value)
    assert "ranks nothing" in lost.meets.note


def test_points_without_a_number_are_left_out():
    truth = rng("truth").normal(size=30)
    candidates = ladder(truth)
    candidates[3][4] = np.nan
    found = stats.spearman_sweep(noisy(truth, 1.0, "t"), candidates, COSTS, truth, rng=rng(), resamples=100)
    assert {estimate.n for estimate in (found.reference, *found.candidates, found.meets)} == {29}
    assert "1 points" in found.meets.note


@pytest.mark.parametrize("costs", [(1, 2), (2, 1, 3), (0, 1, 2)])
def test_costs_rise(costs):
    truth = rng("truth").normal(size=30)
    with pytest.raises(ValueError, match="rise"):
        stats.spearman_sweep(truth, [truth] * 3, costs, truth, rng=rng())


def test_means_meet_where_the_lines_cross():
    noise = rng("learners").normal(size=(4, 40))
    reference, candidates = (
        0.6 + 0.01 * noise[0],
        [level + 0.01 * row for level, row in zip((0.4, 0.5, 0.7), noise[1:], strict=True)],
    )
    found = stats.mean_sweep(reference, candidates, (32, 64, 128), rng=rng(), resamples=400)
    means = [row.mean() for row in candidates]
    share = (reference.mean() - means[1]) / (means[2] - means[1])
    assert found.meets.value == pytest.approx(64 * 2**share)
    assert [estimate.value for estimate in found.candidates] == pytest.approx(means)
    assert 64 < found.meets.low < found.meets.value < found.meets.high < 128
    assert found.reference.low < found.reference.value < found.reference.high


def test_means_of_pairs_are_compared_pair_by_pair():
    """A learner that is good at one is good at the other: then the crossing is certain, though the means are not."""
    learner = rng("learners").normal(size=30)
    found = stats.mean_sweep(learner, [learner - 1, learner, learner + 1], (1, 2, 4), rng=rng(), resamples=300)
    assert (found.meets.value, found.meets.low, found.meets.high) == pytest.approx((2, 2, 2))
    never = stats.mean_sweep(learner, [learner - 1, learner - 0.5], (1, 2), rng=rng(), resamples=300)
    assert (never.meets.value, never.never) == (np.inf, 1)
    none = stats.mean_sweep(np.full(3, np.nan), [np.zeros(3)], (1,), rng=rng(), resamples=10)
    assert np.isnan(none.meets.value)
    assert "no points" in none.meets.note


def test_one_point_has_no_interval():
    found = stats.mean_sweep([0.9], [[0.8], [0.95]], (16, 64), rng=rng())
    assert found.meets.value == pytest.approx(16 * 4 ** (2 / 3))
    estimates = (found.reference, *found.candidates, found.meets)
    assert np.isnan([[estimate.low, estimate.high] for estimate in estimates]).all()
    assert np.isnan([found.at_once, found.never]).all()
    assert {estimate.note for estimate in estimates} == {"one point has no interval"}


def test_resamples_in_which_the_reference_ranks_nothing_are_left_out():
    ranks = [1.0, 2.0, 3.0]
    found = stats.spearman_sweep(ranks, [ranks], (1,), ranks, rng=rng(), resamples=900)
    assert (found.meets.value, found.meets.low, found.meets.high, found.never) == (1, 1, 1, 0)
    assert 60 <= int(found.meets.note.split(" of 900 resamples had no value")[0]) <= 140
