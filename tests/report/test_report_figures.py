"""What figures show where there is more than they have room for."""

import argparse
import json
import runpy
from types import SimpleNamespace

import pandas as pd
import pytest
from report_runs import Sizes, whole_run

from gtn_hpc.report.blocks import Figure, figure
from gtn_hpc.report.evidence import gather
from gtn_hpc.report.figures import LINES, training_curves
from gtn_hpc.report.frames.cost import least_busy, work, workers
from gtn_hpc.report.sections import cost, search


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A search by a hundred workers, of which twelve architectures were trained."""
    return whole_run(tmp_path_factory.mktemp("crowded"), sizes=Sizes(300, 8, 3, workers=100, winners=12))


def figures_of(blocks):
    return [block for block in blocks if isinstance(block, Figure)]


def rows_of(spec):
    """The data of a chart."""
    return [row for rows in json.loads(spec)["datasets"].values() for row in rows]


def named(spec):
    """What the legend of a chart names."""
    chart = json.loads(spec)
    layers = chart.get("layer", [chart])
    return [name for layer in layers for name in layer["encoding"].get("color", {}).get("scale", {}).get("domain", ())]


def test_few_winners_are_all_named(finished):
    evidence = gather(finished)
    (shown,) = figures_of(search.final(evidence))
    assert sorted(named(shown.spec)) == sorted(evidence.tables.final["arch"])
    assert shown.caption == "Validation accuracy of the winners after each epoch."


def test_of_many_winners_the_best_are_named_and_all_are_drawn(crowded):
    evidence = gather(crowded)
    (shown,) = figures_of(search.final(evidence))
    best = evidence.tables.final.sort_values("val_accuracy", ascending=False)["arch"].tolist()
    assert named(shown.spec) == best[:4]
    assert {row["arch"] for row in rows_of(shown.spec)} == set(best)
    assert "The best 4 of 12 are named" in shown.caption


def test_long_trainings_of_many_winners_fit_on_the_page():
    winners, epochs = [f"winner {place}" for place in range(10)], range(1, 601)
    rows = [("final", name, epoch, 0.9 if epoch == 77 else epoch / 1000) for name in winners for epoch in epochs]
    curves = pd.DataFrame(rows, columns=["table", "key", "step", "val_accuracy"])
    final = pd.DataFrame({"key": winners, "arch": winners})
    shown = search.training_curves(SimpleNamespace(tables=SimpleNamespace(curves=curves, final=final)))
    assert len(shown) == 10 * (300 + 1)
    assert (shown.groupby("arch")[["step", "val_accuracy"]].max() == [600, 0.9]).all(axis=None)
    long = curves.rename(columns={"key": "arch"})[["arch", "step", "val_accuracy"]]
    assert len(rows_of(figure(training_curves(long), "", "").spec)) == 10 * 600


def test_of_many_workers_the_least_busy_are_drawn_and_the_caption_says_so(crowded):
    evidence = gather(crowded)
    (shown,) = figures_of(cost.worked(evidence))
    everybody = work(evidence.tables)["worker"].nunique()
    assert everybody > 100
    assert f"Who worked when, the 60 least busy of {everybody} workers; gaps" in shown.caption
    assert {row["worker"] for row in rows_of(shown.spec)} == set(least_busy(workers(work(evidence.tables)), LINES))


def test_the_least_busy_in_any_work_come_first_and_once():
    shares = pd.DataFrame({"worker": ["a", "b", "c", "a"], "busy_share": [0.9, 0.5, 0.7, 0.1]})
    assert least_busy(shares, 2) == ["a", "b"]


def test_the_script_draws_the_least_busy_too(crowded, root):
    found = runpy.run_path(str(root / "analysis" / "utilisation.py"))["find"](argparse.Namespace(paths=[crowded.path]))
    assert found.chart.to_dict()["height"] == 40 + 18 * LINES
    assert len(found.table) > 100
    assert found.words[0].startswith("The picture shows the 60 least busy of ")


def test_the_script_tells_workers_of_several_runs_apart(finished, crowded, root):
    asked = argparse.Namespace(paths=[crowded.path, finished.path])
    found = runpy.run_path(str(root / "analysis" / "utilisation.py"))["find"](asked)
    drawn = {row["worker"] for rows in found.chart.to_dict()["datasets"].values() for row in rows}
    assert len(drawn) == LINES
