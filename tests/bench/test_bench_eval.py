"""The evaluation bench: its rows, and that every path gives the plain loop's scores. No assertion on time."""

import json

import pytest

from gtn_hpc.bench import evaluations
from gtn_hpc.core.errors import UsageError


def test_every_path_gives_the_plain_loops_scores() -> None:
    size = evaluations.Size(cells=1, filters=8, side=8, steps=2, batch=8)
    report = evaluations.run(size, architectures=1, repeats=1, say=lambda _: None)
    assert json.loads(json.dumps(report)) == report
    assert (report["bench"], report["device"]) == ("eval", "cpu")
    assert [row["path"] for row in report["rows"]] == list(evaluations.DEFAULT)
    assert all(row["same_scores"] and row["archs_per_min"] > 0 for row in report["rows"])
    assert report["rows"][0]["speed_vs_plain"] == 1.0


def test_an_unknown_path_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="lean"):
        evaluations.run(paths=("leen",))
    with pytest.raises(UsageError, match=r"'conv'\.\n.*nao_cell, nasbench201"):
        evaluations.run(evaluations.Size(space="conv"))
