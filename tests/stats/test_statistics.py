"""Values equal SciPy's, intervals cover, ties and constants are told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from gtn_hpc import stats
from gtn_hpc.stats import correlation
from gtn_hpc.stats.correlation import _kendall_of_counts, spearman_of_counts
from gtn_hpc.stats.estimate import LEVEL

CORRELATIONS = {
    "spearman": (stats.spearman, spearman_of_counts, lambda a, b: scipy_stats.spearmanr(a, b).statistic),
    "kendall": (stats.kendall, _kendall_of_counts, lambda a, b: scipy_stats.kendalltau(a, b).statistic),
}
both = pytest.mark.parametrize("name", CORRELATIONS)


def rng(seed=0):
    return np.random.default_rng(seed)


@both
@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=30), st.integers(0, 1000))
def test_the_sample_and_every_resample_equal_scipy_on_the_drawn_points(name, points, seed):
    a, b = np.array(points, dtype=float).T
    _, of_counts, reference = CORRELATIONS[name]
    drawn = np.vstack([np.arange(len(a)), rng(seed).integers(len(a), size=(4, len(a)))])
    counts = np.array([np.bincount(row, minlength=len(a)) for row in drawn], dtype=float)
    expected = [reference(a[row], b[row]) if np.ptp(a[row]) and np.ptp(b[row]) else np.nan for row in drawn]
    np.testing.assert_allclose(of_counts(a, b)(counts), expected, atol=1e-12, rtol=0)


finite = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 0.5, 1.0])


@both
@settings(max_examples=60)
@given(st.lists(st.tuples(finite, finite), min_size=3, max_size=40))
def test_values_of_any_sample_equal_scipy_or_have_a_reason(name, points):
    a, b = np.array(points).T
    function, _, reference = CORRELATIONS[name]
    found = function(a, b, rng=rng(), resamples=2)
    if np.ptp(a) and np.ptp(b):
        assert found.value == pytest.approx(reference(a, b), abs=1e-12)
    else:
        assert np.isnan(found.value) and "the same for all points" in found.note


@both
@pytest.mark.parametrize("rounded", [None, 1])
def test_value_equals_scipy(name, rounded):
    a, b = rng(1).normal(size=(2, 200))
    b = a + b
    a, b = (a, b) if rounded is None else (a.round(rounded), b.round(rounded))
    function, _, reference = CORRELATIONS[name]
    found = function(a, b, rng=rng(), resamples=200)
    assert found.value == pytest.approx(reference(a, b), abs=1e-12)
    assert found.low < found.value < found.high and found.n == 200
    assert ("tied" in found.note) == (rounded is not None)


@both
def test_top_is_the_best_by_estimate(name):
    a, b = rng(2).normal(size=(2, 60))
    best = np.argsort(-a)[:30]
    function, _, reference = CORRELATIONS[name]
    found = function(a, b, rng=rng(), resamples=50, top=0.5)
    assert found.n == 30 and found.value == pytest.approx(reference(a[best], b[best]), abs=1e-12)
    with pytest.raises(ValueError, match="share of best points"):
        function(a, b, rng=rng(), top=0)


@both
def test_interval_equals_scipys_bootstrap(name):
    a, b = rng(3).normal(size=(2, 40))
    b = b + a
    function, _, reference = CORRELATIONS[name]
    ours = function(a, b, rng=rng(4), resamples=4000)
    theirs = scipy_stats.bootstrap(
        (a, b), reference, paired=True, vectorized=False, n_resamples=1500, method="percentile", random_state=rng(5)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.05)
    again = function(a, b, rng=rng(4), resamples=4000)
    assert again == ours


def assert_covered(covered):
    """As often as `LEVEL` says: within what a coin of that probability gives in 999 of 1,000 series."""
    fewest, most = scipy_stats.binom.interval(0.999, len(covered), LEVEL)
    assert fewest <= np.sum(covered) <= most


def holds(found, truth):
    return found.low <= truth <= found.high


def population(name, rho):
    """The correlation of ranks in a normal population of correlation `rho`."""
    return 6 / np.pi * np.arcsin(rho / 2) if name == "spearman" else 2 / np.pi * np.arcsin(rho)


@both
def test_correlation_intervals_cover_at_the_stated_rate(name):
    draws, function = rng(7), CORRELATIONS[name][0]
    points = draws.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=(1000, 50))
    found = [function(*sample.T, rng=draws, resamples=200) for sample in points]
    assert_covered([holds(item, population(name, 0.6)) for item in found])


def test_kendalls_interval_of_a_part_covers_at_the_stated_rate_and_the_value_is_that_of_all(monkeypatch):
    """Of 60 points, when there are 300: without the scaling it would be more than twice as wide."""
    monkeypatch.setattr(correlation, "LARGEST", 60)
    draws, sizes = rng(17), []
    monkeypatch.setattr(
        correlation, "_kendall_of_counts", lambda a, b: sizes.append(len(a)) or _kendall_of_counts(a, b)
    )
    points = draws.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=(400, 300))
    found = [stats.kendall(*sample.T, rng=draws, resamples=200) for sample in points]
    assert_covered([holds(item, population("kendall", 0.6)) for item in found])
    assert set(sizes) == {60} and {item.n for item in found} == {300}
    assert found[0].value == pytest.approx(scipy_stats.kendalltau(*points[0].T).statistic, abs=1e-12)
    assert found[0].note == "interval of 60 of the points, scaled to 300"
    whole = [_kendall_width(sample, draws) for sample in points[:40]]
    assert np.mean([item.high - item.low for item in found[:40]]) == pytest.approx(np.mean(whole), rel=0.1)
    again = [stats.kendall(*points[0].T, rng=rng(18), resamples=50) for _ in range(2)]
    assert again[0] == again[1]
    assert stats.kendall(np.arange(300), np.arange(300), rng=rng(), resamples=20).high == 1


def _kendall_width(sample, draws):
    resampled = [scipy_stats.kendalltau(*sample[draws.integers(300, size=300)].T).statistic for _ in range(100)]
    return np.diff(np.quantile(resampled, [0.025, 0.975]))[0]


def test_a_part_without_spread_gives_kendalls_value_no_interval(monkeypatch):
    monkeypatch.setattr(correlation, "LARGEST", 20)
    found = stats.kendall([*np.zeros(5000), 1.0], np.arange(5001), rng=rng())
    assert found.value > 0 and np.isnan([found.low, found.high]).all()
    assert "interval of 20 of the points" in found.note and "ranks nothing" in found.note


def test_intervals_of_a_difference_cover_at_the_stated_rate():
    draws, cov = rng(8), [[1, 0.3, 0.7], [0.3, 1, 0.4], [0.7, 0.4, 1]]
    points = draws.multivariate_normal([0, 0, 0], cov, size=(1000, 50))
    found = [stats.spearman_difference(*sample.T, rng=draws, resamples=200) for sample in points]
    truth = population("spearman", 0.7) - population("spearman", 0.4)
    assert_covered([holds(item, truth) for item in found])


@pytest.mark.parametrize("method", ["t", "percentile"])
def test_mean_intervals_cover_at_the_stated_rate(method):
    draws = rng(8)
    samples = draws.normal(2.0, 1.0, size=(1000, 100))
    found = [stats.mean(sample, method=method, rng=draws, resamples=1000) for sample in samples]
    assert_covered([holds(item, 2.0) for item in found])


def test_intervals_of_a_paired_difference_cover_at_the_stated_rate():
    draws = rng(9)
    shared = draws.normal(size=(1000, 20))
    pairs = zip(shared + draws.normal(0.1, 0.3, size=(1000, 20)), shared, strict=True)
    assert_covered([holds(stats.paired_difference(*pair), 0.1) for pair in pairs])


def test_student_intervals_equal_scipy():
    a, b = rng(9).normal(size=(2, 25))
    found = stats.paired_difference(a, b)
    expected = scipy_stats.ttest_rel(a, b).confidence_interval(0.95)
    assert found.value == pytest.approx((a - b).mean(), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    low, high = scipy_stats.t.interval(0.95, 24, loc=a.mean(), scale=scipy_stats.sem(a))
    assert stats.mean(a) == stats.Estimate(a.mean(), low, high, 25, "", 0.95)


def test_a_students_interval_ends_where_values_do():
    few = [0.99, 0.9, 0.95]
    free, kept = stats.mean(few), stats.mean(few, within=(0, 1))
    assert free.high > 1
    assert (kept.value, kept.low, kept.high) == (free.value, free.low, 1.0)
    assert stats.mean([-value for value in few], within=(-1, 0)).low == -1.0


def test_pairing_removes_what_learners_share():
    learner = rng(10).normal(size=50)
    first, second = learner + 0.1 + 0.01 * rng(11).normal(size=50), learner
    assert stats.paired_difference(first, second).low > 0.09
    bootstrap = stats.mean(first - second, method="percentile", rng=rng(), resamples=500)
    assert bootstrap.low > 0.09 and bootstrap.high < 0.11


def test_difference_of_correlations_is_told_on_the_same_points():
    truth = rng(12).normal(size=80)
    good, bad = truth + 0.3 * rng(13).normal(size=80), rng(14).normal(size=80)
    found = stats.spearman_difference(good, bad, truth, rng=rng(), resamples=500)
    expected = scipy_stats.spearmanr(good, truth).statistic - scipy_stats.spearmanr(bad, truth).statistic
    assert found.value == pytest.approx(expected, abs=1e-12) and found.low > 0.4
    same = stats.spearman_difference(good, good, truth, rng=rng(), resamples=100)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert "ranks nothing" in stats.spearman_difference(good, np.ones(80), truth, rng=rng()).note


@both
@pytest.mark.parametrize(
    ("a", "b", "note"),
    [
        ([1, 1, 1, 1], [1, 2, 3, 4], "the estimate is the same for all points"),
        ([1, 2, 3, 4], [5, 5, 5, 5], "the truth is the same for all points"),
        ([1, 2], [1, 2], "2 points are too few"),
        ([], [], "0 points are too few"),
        ([1, np.nan, 3, np.inf], [1, 2, 3, 4], "2 points without a finite number left out; 2 points are too few"),
    ],
)
def test_what_cannot_be_ranked_is_told(name, a, b, note):
    found = CORRELATIONS[name][0](a, b, rng=rng())
    assert np.isnan([found.value, found.low, found.high]).all() and note in found.note
    assert str(found).startswith("none (")


@both
def test_resamples_without_spread_are_told(name):
    found = CORRELATIONS[name][0]([1, 1, 1, 2], [1, 2, 3, 4], rng=rng(), resamples=400)
    assert "resamples had no value" in found.note and "3 of 4 values of the estimate are tied" in found.note
    assert found.low <= found.value <= found.high


def test_means_of_few_or_equal_points():
    assert np.isnan(stats.mean([]).value) and stats.mean([]).note == "no points"
    one = stats.mean([3.0])
    assert one.value == 3 and np.isnan(one.low) and "one point" in one.note
    equal = stats.mean([2.0, 2.0, np.nan])
    assert (equal.value, equal.low, equal.high, equal.n) == (2, 2, 2, 2)
    assert equal.note == "1 points without a finite number left out; all points are equal"
    assert stats.paired_difference([], []).note == "no points"
    assert stats.sd([1.0, np.nan, 3.0]) == pytest.approx(np.sqrt(2))
    with pytest.raises(ValueError, match="random generator"):
        stats.mean([1.0, 2.0], method="percentile")
    with pytest.raises(ValueError, match="lengths"):
        stats.paired_difference([1.0], [1.0, 2.0])


def test_a_perfect_ranking_has_an_interval_of_length_zero():
    found = stats.spearman(range(10), range(10), rng=rng(), resamples=200)
    assert (found.value, found.low, found.high) == (pytest.approx(1), pytest.approx(1), pytest.approx(1))
    assert str(found) == "1.000 [1.000, 1.000] (all resamples rank alike)"


@both
def test_an_interval_of_few_points_is_told_to_be_too_narrow(name):
    a, b = rng(20).normal(size=(2, 8))
    function = CORRELATIONS[name][0]
    assert "of 7 points is too narrow" in function(a[:7], b[:7], rng=rng(), resamples=50).note
    assert function(a, b, rng=rng(), resamples=50).note == ""


@both
def test_a_tie_at_the_cut_is_kept_whole_whatever_the_order(name):
    a, b = np.array([0.9, 0.88, *[0.85] * 6, 0.8, 0.7, 0.6, 0.5]), rng(21).normal(size=12)
    function, _, reference = CORRELATIONS[name]
    for order in (np.arange(12), rng(22).permutation(12)):
        found = function(a[order], b[order], rng=rng(), resamples=50, top=0.5)
        assert found.n == 8 and found.value == pytest.approx(reference(a[:8], b[:8]), abs=1e-12)
        assert "2 more are tied with the last of the best" in found.note


def test_a_signed_rank_test_sees_a_shift_and_no_difference_where_there_is_none() -> None:
    generator = rng()
    first = generator.normal(size=30)
    assert stats.signed_rank(first + 1 + 0.1 * generator.normal(size=30), first) < 1e-6
    assert stats.signed_rank(first + generator.normal(size=30), first) > 0.01
    assert stats.signed_rank(first, first) == 1.0
