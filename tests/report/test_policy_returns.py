"""The returns of a run that teaches policies, as a script and on the page."""

import json
import runpy
import sys

import numpy as np
import pandas as pd
import pytest

from gtn_hpc import storage
from gtn_hpc.config import dump, parse
from gtn_hpc.core.events import EventLog
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.curriculum.parts import SCHEMA
from gtn_hpc.report.evidence import gather
from gtn_hpc.report.frames import playing
from gtn_hpc.report.frames.playing import played, returns
from gtn_hpc.report.page import write
from gtn_hpc.report.sections import policies
from gtn_hpc.report.wording import NONE
from gtn_hpc.storage import Column

SUMS = {
    "taught": [[[20, 20], [20, 20]], [[50, 40], [50, 48]]],
    "untaught": [[[10, 12], [9, 9]], [[10, 12], [9, 9]]],
    "untrained": [[[11, 13], [20, 9]], [[11, 13], [30, 9]]],
}
"""[horizon][policy][episode]"""


@pytest.fixture
def run(tmp_path):
    return made_run(tmp_path)


def made_run(tmp_path, steps=1, policies=2):
    made = RunDirectory(tmp_path / "policies")
    made.create()
    made.config.write_text(dump(parse("run: {name: policies}\nrl: {}\nlearners: [{family: linear}]")))
    log = EventLog(made.events / "train.jsonl")
    for iteration, value in ((50, 30.0), (100, 45.0), (50, 31.0)):
        log.write("played", iteration=iteration, mean_return=value, sd=5.0, policies=2)
    log.close()
    dims = ("policy", "horizon", "episode")
    told = {
        f"returns_{arm}": Column(np.array(sums, float).transpose(1, 0, 2)[:policies], "1", "return", dims)
        for arm, sums in SUMS.items()
    }
    zeros = {"x": (steps, 4, 4, 1, 1), "y": (steps, 4, 2), "lr": (steps,), "momentum": (steps,)}
    root = {name: Column(np.zeros(shape, np.float32), "1", name) for name, shape in zeros.items()}
    storage.write(made.curriculum, {"/": root, "evaluation": told}, {"horizons": [20, 50]}, schema=SCHEMA, config="")
    return made


def test_returns_are_means_over_policies_of_means_over_episodes(run):
    found = returns(run.curriculum)
    assert found[["horizon", "mean", "lowest"]].values.tolist() == [
        [20, 20, 20], [20, 10, 9], [20, 13.25, 12], [50, 47, 45], [50, 10, 9], [50, 15.75, 12],
    ]  # fmt: skip
    assert found["sd"].iloc[3] == pytest.approx(np.std([45, 49], ddof=1))
    assert (found["low"] <= found["mean"]).all()
    assert (found["mean"] <= found["high"]).all()


@pytest.mark.parametrize(("steps", "said"), [(1, "one step"), (3, "3 steps")])
def test_arms_are_named_by_the_teachers_steps(tmp_path, steps, said):
    arms = returns(made_run(tmp_path, steps).curriculum)["arm"].unique().tolist()
    assert arms == [f"{said} by the teacher", "no step", f"{said} by a random teacher"]


def test_checks_done_twice_count_once(run):
    events = [{"kind": "played", "iteration": 50, "mean_return": 1.0, "sd": 2.0}] * 2
    assert played(events)[["iteration", "low", "high"]].values.tolist() == [[50, -1, 3]]


def test_the_script_writes_picture_table_and_facts(run, tmp_path, root, monkeypatch, capsys):
    stem = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["policy_returns.py", str(run.path), "-o", str(stem)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(root / "analysis" / "policy_returns.py"), run_name="__main__")
    assert end.value.code == 0
    told = json.loads(stem.with_suffix(".json").read_text())
    assert [row["mean_return"] for row in told["rows"]] == [31.0, 45.0]
    assert told["facts"]["returns"]["policies"][0]["mean"] == 20
    assert stem.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_a_page_without_returns_says_what_prints_some(run, monkeypatch):
    monkeypatch.setattr(playing, "returns", lambda path: pd.DataFrame())
    told = next(policies.taught(gather(run))).text
    assert "holds no returns of policies" in told and told.endswith(f": gtn evaluate {run.path}")


def test_the_page_tells_returns_instead_of_accuracies(run, tmp_path):
    page = write([run], tmp_path / "page.html").read_text()
    assert "Return of 2 never-seen policies" in page
    assert "one step by a random teacher" in page
    assert "was not evaluated" not in page
    run.curriculum.unlink()
    assert "No curriculum yet" in write([run], tmp_path / "page.html").read_text()


def test_a_single_policy_has_neither_interval_nor_spread(tmp_path):
    run = made_run(tmp_path, policies=1)
    page = write([run], tmp_path / "page.html").read_text()
    assert "Return of 1 never-seen policy, mean" in page
    (table, *_) = policies.taught(gather(run))
    assert table.rows[0] == ("one step by the teacher", "20", "20.0", NONE, NONE, "20.0")
