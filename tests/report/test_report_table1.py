"""The paper's table from files: the winner is chosen on validation, hours are summed, published rows stay apart."""

import numpy as np
import pandas as pd
import pytest
from report_runs import Sizes, whole_run

from gtn_hpc import scores
from gtn_hpc.config import parse
from gtn_hpc.core.errors import StorageError
from gtn_hpc.report import conclusions, figures
from gtn_hpc.report.frames.table1 import device_of, sharing, table1, winners


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("table1")
    sizes = Sizes(20, 10, 0)
    return {
        name: whole_run(root, name, sizes, f"run.seed={seed}").path for seed, name in enumerate(("first", "second"))
    }


def test_the_winner_is_that_of_validation_and_its_error_that_of_the_test_split(runs):
    found = winners(runs).set_index("run")
    with scores.open(runs["first"]) as tables:
        best = tables.final.sort_values("val_accuracy").iloc[-1]
    row = found.loc["first"]
    assert row["arch"] == best["arch"]
    assert row["error"] == pytest.approx(1 - best["test_accuracy"])
    assert (row["method"], row["space"], row["filters"]) == ("random search + GTN", "nao_cell", 8)


def test_hours_are_those_of_the_files(runs):
    row = winners(runs).iloc[0]
    with scores.open(runs["first"]) as tables:
        assert row["scoring_hours"] == pytest.approx(tables.scores["seconds"].sum() / 3600)
        assert row["certificate_hours"] == pytest.approx(10 * 9 / 3600)
    assert row["teaching_hours"] == pytest.approx(400 * 0.4 / 3600)
    assert row["training_hours"] == pytest.approx(60 / 3600)
    assert (row["unit"], bool(row["device"])) == ("core", True)


def test_runs_of_one_method_are_one_row_and_the_published_ones_follow(runs):
    found = winners(runs).assign(error=[0.02, 0.04])
    table = table1(found)
    measured, published = table[table["source"] == "measured"], table[table["source"] == "published"]
    (row,) = measured.to_dict("records")
    assert (row["error"], row["sd"], row["runs"]) == (pytest.approx(0.03), pytest.approx(np.sqrt(0.0002)), 2)
    assert row["low"] < 0.02 < 0.04 < row["high"]
    assert row["searching_hours"] == pytest.approx(row["teaching_hours"] + row["scoring_hours"])
    assert published["error"].tolist()[:2] == [0.0292, 0.0242]
    assert (published["searching_hours"] / 24).tolist() == pytest.approx([0.67, 0.67, 10])
    assert list(table["source"]) == ["measured"] + ["published"] * 3
    words = " ".join(conclusions.table1(table))
    assert "3.00 % test error (sd 1.41) in 2 runs" in words
    assert "errors on digits do not compare" in words


def test_methods_and_devices_are_not_mixed(runs):
    found = winners(runs)
    for change in ({"method": "evolution search + GTN"}, {"device": "another"}, {"filters": 16}):
        other = found.assign(**{name: [found[name].iloc[0], value] for name, value in change.items()})
        assert (table1(other)["source"] == "measured").sum() == 2


def test_one_run_has_no_spread_and_says_so(runs):
    table = table1(winners({"first": runs["first"]}))
    assert np.isnan(table["sd"].iloc[0])
    assert "One run has no spread" in " ".join(conclusions.table1(table))


def test_an_unknown_time_stays_unknown(tmp_path):
    run = whole_run(tmp_path, "far", Sizes(8, 4, 0))
    (run.events / "train.jsonl").unlink()
    run.curriculum.unlink()
    found = winners({"far": run.path})
    assert found["method"].tolist() == ["random search + GTN (unknown)"]
    table = table1(found)
    assert np.isnan(table["searching_hours"].iloc[0])
    assert "an unknown time of meta-training" in " ".join(conclusions.table1(table))


def test_without_winners_it_is_said_how_to_get_them(tmp_path):
    run = whole_run(tmp_path, "poor", Sizes(8, 4, 0, winners=0))
    with pytest.raises(StorageError, match="gtn final CONFIG"):
        winners({"poor": run.path})


@pytest.mark.parametrize(
    ("setting", "gpus", "expected"),
    [
        ("auto", [], ("core", "A")),
        ("cpu", ["H100"], ("core", "A")),
        ("auto", ["H100"], ("GPU", "H100")),
        ("cuda:0", [], ("GPU", "unknown GPU")),
    ],
)
def test_the_device_is_named(setting, gpus, expected):
    config = parse(f"run: {{name: x, device: '{setting}'}}")
    assert device_of(config, {"gpus": gpus, "processor": "A"}) == expected


def test_workers_that_share_a_gpu_and_threads_of_a_core_count(runs, monkeypatch):
    plain = winners(runs).iloc[0]
    with monkeypatch.context() as patched:
        patched.setattr("gtn_hpc.report.frames.table1.parse", lambda text: parse(text, ["run.threads=2"]))
        assert winners(runs).iloc[0]["scoring_hours"] == pytest.approx(2 * plain["scoring_hours"])
    options = ["run.threads=2", "run.device=cuda", "search.workers=4"]
    monkeypatch.setattr("gtn_hpc.report.frames.table1.parse", lambda text: parse(text, options))
    shared = winners(runs).iloc[0]
    assert shared["scoring_hours"] == pytest.approx(plain["scoring_hours"] / 4)
    assert shared["training_hours"] == pytest.approx(plain["training_hours"])


@pytest.mark.parametrize(
    ("workers", "device", "gpus", "expected"),
    [
        (4, "cuda", [], 4),
        (4, "cuda", ["A"], 4),
        (4, "auto", ["A", "A"], 2),
        (4, "cuda:1", ["A", "A"], 4),
        (1, "cuda", ["A", "A"], 1),
    ],
)
def test_workers_are_dealt_out_to_the_gpus(workers, device, gpus, expected):
    config = parse(f"run: {{name: x, device: '{device}'}}\nsearch: {{workers: {workers}}}")
    assert sharing(config, {"gpus": gpus}) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"slurm": {"SLURM_GPUS_ON_NODE": "1"}}, 4),
        ({"slurm": {"SLURM_GPUS_ON_NODE": "2"}, "visible_gpus": "0"}, 2),
        ({"slurm": {"SLURM_GPUS_ON_NODE": "a few"}}, 1),
        ({"visible_gpus": "5"}, 4),
        ({"visible_gpus": "MIG-a,MIG-b"}, 2),
        ({"visible_gpus": "3,-1,2"}, 4),
        ({"visible_gpus": ""}, 4),
        ({"visible_gpus": None, "slurm": {}}, 1),
    ],
)
def test_gpus_of_a_host_that_were_not_the_jobs_do_not_count(told, expected):
    config = parse("run: {name: x, device: cuda}\nsearch: {workers: 4}")
    assert sharing(config, {"gpus": ["A"] * 8, **told}) == expected


def test_the_figure_has_a_line_for_each_row(runs):
    table = table1(winners(runs))
    spec = figures.table1(table).to_dict()
    assert [part["title"]["text"] for part in spec["hconcat"][1:]] == ["F", "parameters", "searching", "training"]
    texts = [row for data in spec["datasets"].values() for row in data if "parameters" in row]
    assert len(texts) == len(table)
    assert texts[1]["searching"] == "0.67 GPU-days"
    assert pd.notna(table["error"].iloc[0])
