"""What the page concludes from an interval: no more than it holds."""

import numpy as np
import pandas as pd
import pytest

from gtn_hpc.report.frames.ranking import correlations
from gtn_hpc.report.sections import teacher, trust
from gtn_hpc.report.wording import percent_interval, rank
from gtn_hpc.stats import mean, paired_difference


def ranked(sign: float, noise: float) -> pd.DataFrame:
    truth = np.linspace(0, 1, 30)
    seen = sign * truth + noise * np.random.default_rng(0).normal(size=30)
    return correlations(pd.DataFrame({"arch": range(30), "estimate": seen, "truth": truth}))


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
