"""The DataFrames behind figures and tables."""

import re

import numpy as np
import pandas as pd
import pytest
from report_runs import Sizes, configured, whole_run

from gtn_hpc import scores, stats
from gtn_hpc.core.streams import numpy_rng
from gtn_hpc.report.evidence import gather
from gtn_hpc.report.figures import meta_accuracy
from gtn_hpc.report.figures.style import save
from gtn_hpc.report.frames import cost, estimates, ranking, searching, teaching
from gtn_hpc.scores import read_journals
from gtn_hpc.search.certificate import certify, truths_of
from gtn_hpc.training.estimates import estimates as estimates_of_rows


@pytest.fixture(scope="module")
def replicated(tmp_path_factory):
    """Two replicas of each architecture, two of which failed."""
    return whole_run(tmp_path_factory.mktemp("replicated"), "two", Sizes(20, 10, 2, replicas=2))


def test_estimates_are_those_of_the_search(replicated):
    with scores.open(replicated.path) as tables:
        found = estimates.estimates(tables.scores)["estimate"]
    expected = estimates_of_rows(read_journals(replicated.journal).scores)
    assert len(expected) == 18
    assert found.to_dict() == pytest.approx(expected, abs=1e-15)


def test_an_architecture_that_failed_once_has_no_estimate():
    rows = {"arch": ["a", "a", "b"], "fidelity": 8, "val_accuracy": [0.5, np.nan, 0.7], "status": ["ok", "nan", "ok"],
            "seconds": 1.0, "params": 1, "flops": 1, "time": 1.0}  # fmt: skip
    assert estimates.estimates(pd.DataFrame(rows)).index.tolist() == ["b"]


def test_a_fidelity_at_which_all_failed_takes_no_estimate_away():
    rows = {"arch": ["a", "b", "a"], "fidelity": [4, 4, 8], "val_accuracy": [0.5, 0.7, np.nan], "seconds": 1.0,
            "status": ["ok", "ok", "timeout"], "params": 1, "flops": 1, "time": 1.0}  # fmt: skip
    scores = pd.DataFrame(rows)
    assert estimates.estimates(scores)["estimate"].to_dict() == {"a": 0.5, "b": 0.7}
    assert estimates.pairs(scores, pd.Series({"b": 0.6}, name="truth"))["estimate"].tolist() == [0.7]
    assert estimates.top_fidelity(scores.tail(1)) == 0


def test_correlations_are_those_of_the_certificate(finished):
    journals = read_journals(finished.journal)
    certificate = certify(estimates_of_rows(journals.scores), truths_of(journals.certificates, 1200), 1200, seed=0)
    found = gather(finished).correlations.set_index(["subset", "statistic"])
    for place, expected in (
        (("all", "Spearman"), certificate.spearman),
        (("all", "Kendall"), certificate.kendall),
        (("top half", "Spearman"), certificate.top_half),
    ):
        row = found.loc[place]
        assert (row["value"], row["low"], row["high"], row["n"]) == pytest.approx(
            (expected.value, expected.low, expected.high, expected.n), abs=1e-12
        )


def test_constant_scores_have_no_correlation_but_a_note():
    pairs = pd.DataFrame({"arch": list("abcd"), "estimate": 0.5, "truth": [0.1, 0.2, 0.3, 0.4], "params": [1, 2, 3, 4]})
    found = ranking.correlations(pairs)
    assert found["value"].isna().all()
    assert "ranks nothing" in found["note"].iloc[0]


def test_rivals_are_compared_on_what_both_have():
    rng = numpy_rng(0, "rivals")
    truth = rng.random(40)
    pairs = pd.DataFrame({"arch": [f"a{k}" for k in range(40)], "estimate": truth + 0.05 * rng.random(40),
                          "truth": truth, "params": rng.integers(100, size=40)})  # fmt: skip
    noise = pd.Series(rng.random(30), index=[f"a{k}" for k in range(30)])
    found = ranking.rivals(pairs, {"noise": noise}).set_index("name")
    assert found["n"].to_dict() == {"parameters": 40, "noise": 30}
    assert (found["ahead_low"] > 0).all()


def test_the_longest_real_run_is_the_truth_and_other_sources_are_controls(finished):
    with scores.open(finished.path) as tables:
        rows = tables.certificate
        shorter = rows.assign(steps=600, val_accuracy=0.0, key="s" + rows["key"])
        control = rows.assign(source="real_steps", steps=8, val_accuracy=0.3, key="c" + rows["key"])
        truth = estimates.truths(tables)
        tables.certificate = pd.concat([shorter, rows, control], ignore_index=True)
        assert estimates.truths(tables).to_dict() == truth.to_dict()
        assert set(estimates.controls(tables)["real steps"]) == {0.3}
        assert len(estimates.truths(tables, "final")) == 3


def test_the_front_is_beaten_by_nobody():
    rng = numpy_rng(0, "front")
    frame = pd.DataFrame({"estimate": rng.integers(0, 20, 200) / 20, "params": rng.integers(1, 40, 200)})
    marked = searching.front(frame, "params")
    for index, row in frame.iterrows():
        rivals = frame.drop(index)
        beaten = ((rivals["params"] <= row["params"]) & (rivals["estimate"] > row["estimate"])) | (
            (rivals["params"] < row["params"]) & (rivals["estimate"] >= row["estimate"])
        )
        same = (frame["params"] == row["params"]) & (frame["estimate"] == row["estimate"])
        assert marked[same].sum() == (0 if beaten.any() else 1)


def test_thinning_keeps_the_front():
    frame = pd.DataFrame({"front": [k % 97 == 0 for k in range(5000)]})
    found = searching.thinned(frame, 100)
    assert len(found) <= 100 + 52
    assert found["front"].sum() == frame["front"].sum()


def test_progress_rises_and_ends_at_the_best(finished):
    with scores.open(finished.path) as tables:
        found, best = searching.progress(tables.scores), estimates.estimates(tables.scores)["estimate"]
    assert found["best"].is_monotonic_increasing
    assert found["best"].iloc[-1] == best.max()
    assert found["arch"].iloc[-1] == best.idxmax()
    assert found["evaluations"].iloc[-1] == 60
    assert found["evaluations"].iloc[0] > 3, "the first three failed"


def test_progress_counts_architectures_of_every_fidelity_until_the_end_of_the_search():
    """Four on the first rung, of which two climb to the second, and a fifth that ends after them."""
    rows = {"arch": list("abcdbce"), "fidelity": [2, 2, 2, 2, 8, 8, 2], "status": "ok", "seconds": 10.0, "params": 1,
            "flops": 1, "val_accuracy": [0.1, 0.2, 0.3, 0.9, 0.5, 0.6, 0.4],
            "time": np.arange(110.0, 171.0, 10.0)}  # fmt: skip
    found = searching.progress(pd.DataFrame(rows))
    assert found["evaluations"].tolist() == [4, 4, 5]
    assert found["arch"].tolist() == ["b", "c", "c"]
    assert found["best"].tolist() == [0.5, 0.6, 0.6]
    assert found["seconds"].tolist() == found["busy_seconds"].tolist() == [50.0, 60.0, 70.0]


def test_progress_names_the_first_of_architectures_that_are_equally_good():
    rows = {"arch": list("zyxw"), "fidelity": 8, "val_accuracy": [0.5, 0.7, 0.7, 0.6], "status": "ok", "seconds": 1.0,
            "params": 1, "flops": 1, "time": [1.0, 2.0, 3.0, 4.0]}  # fmt: skip
    found = searching.progress(pd.DataFrame(rows))
    assert found["arch"].tolist() == ["z", "y", "y"]
    assert found["evaluations"].tolist() == [1, 2, 4]


def test_progress_is_empty_where_nothing_ended_well(finished):
    with scores.open(finished.path) as tables:
        found = searching.progress(tables.scores.assign(status="nan", val_accuracy=np.nan))
    assert found.empty
    assert "evaluations" in found


def test_busy_stretches_hold_all_work(finished):
    with scores.open(finished.path) as tables:
        rows = cost.work(tables)
    found = cost.busy(rows, resolution=0.0)
    assert rows["start"].min() == 0
    for (worker, kind), mine in rows.groupby(["worker", "work"]):
        blocks = found[(found["worker"] == worker) & (found["work"] == kind)].sort_values("start")
        assert all(((blocks["start"] <= row.start) & (blocks["end"] >= row.end)).any() for row in mine.itertuples())
        assert (blocks["start"].to_numpy()[1:] > blocks["end"].to_numpy()[:-1]).all()
    assert cost.totals(rows).set_index("work")["rows"].to_dict() == {"scores": 60, "certificate": 30, "final": 3}


def test_events_done_twice_count_once():
    events = [{"kind": "iterated", "iteration": k, "loss": float(k)} for k in (0, 1, 2, 1, 2, 3)]
    assert teaching.iterations(events)["iteration"].tolist() == [1, 2, 3, 4]


def test_intervals_of_few_learners_end_where_accuracies_do():
    accuracy = {"teacher": np.array([[0.01, 0.99], [0.1, 0.9], [0.05, 0.95]])}
    few = teaching.Lessons(np.empty(2), np.empty(2), np.empty(2), np.empty(2), accuracy, {})
    assert teaching.learning(few)[["low", "high"]].to_numpy().tolist() == [
        [0.0, pytest.approx(stats.mean([0.01, 0.1, 0.05]).high)],
        [pytest.approx(stats.mean([0.99, 0.9, 0.95]).low), 1.0],
    ]
    assert teaching.accuracy_at_end(few).high == 1.0


def test_a_curriculum_without_an_evaluation_says_how_to_get_one(tmp_path):
    from report_runs import write_curriculum

    from gtn_hpc.core.errors import StorageError

    path = tmp_path / "curriculum.h5"
    write_curriculum(path, configured(tmp_path), evaluated=False)
    with pytest.raises(StorageError, match="gtn evaluate") as error:
        teaching.evaluated(teaching.read_lessons(path), path)
    assert f"gtn evaluate {path} --config CONFIG --json" in error.value.remedy
    assert "gtn train" in error.value.remedy and "gtn export" in error.value.remedy


@pytest.mark.parametrize("spread", [0.5, 0.02, 0.006])
def test_no_two_accuracies_beside_an_axis_read_alike(tmp_path, spread):
    frame = pd.DataFrame({"iteration": [0, 100, 200], "accuracy": [0.97 - spread, 0.96, 0.97], "sd": 0.0})
    frame = frame.assign(low=frame["accuracy"], high=frame["accuracy"])
    _, drawn = save(meta_accuracy(frame), tmp_path / "accuracy")
    labels = re.findall(r">([\d.]+%)</text>", drawn.read_text())
    assert len(labels) > 2
    assert len(set(labels)) == len(labels)
