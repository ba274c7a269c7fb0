"""What the page concludes from an interval: no more than it holds."""

import numpy as np
import pandas as pd
import pytest

from gtn_hpc.report.frames.ranking import correlations, rivals
from gtn_hpc.report.sections import teacher, trust
from gtn_hpc.report.wording import percent_interval, rank
from gtn_hpc.stats import mean, paired_difference


def paired(sign: float, noise: float, n: int = 30) -> pd.DataFrame:
    truth = np.linspace(0, 1, n)
    seen = sign * truth + noise * np.random.default_rng(0).normal(size=n)
    return pd.DataFrame({"arch": range(n), "estimate": seen, "truth": truth, "params": range(n, 0, -1)})


def ranked(sign: float, noise: float, n: int = 30) -> pd.DataFrame:
    return correlations(paired(sign, noise, n))


@pytest.mark.parametrize(
    ("sign", "noise", "said"),
    [(1, 0.1, "lies above zero"), (-1, 0.1, "the wrong way round"), (0, 1, "The interval holds zero")],
)
def test_a_ranking_is_right_wrong_or_chance(sign, noise, said):
    assert said in trust.in_words(ranked(sign, noise))


def test_a_ranking_without_an_interval_decides_nothing():
    found = ranked(1, 0.1).assign(low=np.nan, high=np.nan)
    assert "There is no interval" in trust.in_words(found)
    assert "nan" not in trust.in_words(found)


@pytest.mark.parametrize(
    ("sign", "n", "said"), [(1, 3, "too few to tell"), (-1, 7, "too few to tell"), (1, 8, "has no width")]
)
def test_a_ranking_whose_interval_is_too_narrow_decides_nothing(sign, n, said):
    words = trust.in_words(ranked(sign, 0, n))
    assert said in words
    assert "carries information" not in words and "the wrong way round" not in words


@pytest.mark.parametrize(
    ("sign", "n", "said"),
    [
        (1, 3, "; 3 are too few to tell whether the teacher is ahead (2.00"),
        (-1, 7, "; 7 are too few to tell whether the teacher is ahead (0.00"),
        (1, 30, "beside it the teacher is not certainly ahead or behind (2.00"),
    ],
)
def test_the_teacher_is_not_ahead_where_the_interval_is_too_narrow(sign, n, said):
    assert said in trust.beside_others(rivals(paired(sign, 0, n), {}))


def test_numbers_without_an_interval_stand_alone():
    assert percent_interval(mean([0.95])) == "95.0\N{NARROW NO-BREAK SPACE}%"
    assert rank(0.5, np.nan, np.nan) == "0.50"
    assert rank(0.5, 0.25, 0.75) == "0.50 [0.25, 0.75]"


@pytest.mark.parametrize(
    ("taught", "real", "said"),
    [
        ([0.95, 0.95], [0.9, 0.9], "+5.0 points, without an interval: all points are equal"),
        ([0.95], [0.9], "+5.0 points, without an interval: one point has no interval"),
        ([0.95, 0.96], [0.9, 0.905], "the teacher is better: +5.2 points"),
        ([0.9, 0.905], [0.95, 0.96], "the teacher is worse"),
        ([0.9, 0.96], [0.95, 0.9], "not certainly better or worse"),
    ],
)
def test_a_difference_decides_where_it_has_an_interval(taught, real, said):
    assert said in teacher._advantage(paired_difference(taught, real))
