"""From rows to one number an architecture."""

import math
from dataclasses import replace
from itertools import permutations

from gtn_hpc.core.records import Score
from gtn_hpc.training.estimates import estimates, ranked


def row(arch: str, accuracy: float, replica: int = 0, fidelity: int = 8, status: str = "ok") -> Score:
    key = f"{arch}/{replica}/{fidelity}"
    return Score(key, arch, fidelity, replica, accuracy, 1.0, status, 0.0, 0, 1, 1)


def test_the_mean_over_replicas_counts_a_row_once() -> None:
    rows = [row("a", 0.5), row("a", 0.7, replica=1), row("a", 0.5)]
    assert estimates(rows) == {"a": 0.6}


def test_of_several_rows_of_one_key_the_one_of_the_fold_counts_in_whatever_order() -> None:
    late, early = replace(row("a", 0.6), time=9.0), replace(row("a", 0.5), time=5.0)
    failed = replace(row("a", math.nan, status="timeout"), time=1.0)
    for rows in permutations([late, early, failed]):
        assert estimates(rows) == {"a": 0.5}


def test_only_the_top_fidelity_counts() -> None:
    assert estimates([row("a", 0.9, fidelity=4), row("b", 0.4, fidelity=8), row("b", 0.99, fidelity=4)]) == {"b": 0.4}


def test_a_fidelity_at_which_all_failed_takes_no_estimate_away() -> None:
    failed = [row(arch, math.nan, fidelity=8, status="timeout") for arch in ("a", "b")]
    lower = [row("a", 0.9, fidelity=4), row("b", 0.4, fidelity=4), row("c", 0.99, fidelity=2)]
    assert estimates([*failed, *lower]) == {"a": 0.9, "b": 0.4}


def test_a_failed_replica_leaves_no_estimate() -> None:
    assert estimates([row("a", 0.9), row("a", math.nan, replica=1, status="nan"), row("b", 0.1)]) == {"b": 0.1}
    assert estimates([]) == {}


def test_ties_are_ranked_by_digest() -> None:
    assert ranked({"b": 0.5, "c": 0.7, "a": 0.5}) == ["c", "a", "b"]
