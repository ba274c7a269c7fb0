import os
from pathlib import Path

import pytest

from gtn_hpc.core import rundir
from gtn_hpc.core.errors import RunError


@pytest.fixture
def run(tmp_path):
    directory = rundir.RunDirectory(tmp_path / "runs" / "digits")
    directory.create()
    directory.config.write_text("run: {name: digits}\n")
    return directory


def test_paths_are_those_of_the_design(run):
    properties = [name for name, value in vars(rundir.RunDirectory).items() if isinstance(value, property)]
    names = {getattr(run, name).name for name in properties if name != "name"}
    assert names == {
        "config.yaml", "environment.json", "state.json", "events", "checkpoints", "curriculum.h5",
        "evaluations", "journal", "scores.h5", "tensorboard", "report.html", "slurm",
    }  # fmt: skip
    assert os.listdir(run.path) == ["config.yaml"]


def test_state_remembers_each_stage(run):
    assert run.read_state() == {"schema": 1, "wants_requeue": False, "stages": {}}
    run.update_state("train", iteration=5, wants_requeue=True)
    run.update_state("train", done=True)
    run.update_state("search", scored=3)
    state = run.read_state()
    assert state["wants_requeue"] is False
    assert (state["stages"]["train"]["iteration"], state["stages"]["train"]["done"]) == (5, True)
    assert state["stages"]["search"]["scored"] == 3


def test_damaged_state_is_reported(run):
    run.state.write_text("{")
    with pytest.raises(RunError, match=r"state\.json is not JSON"):
        run.read_state()


@pytest.mark.parametrize("place", ["/dev/null/runs/digits", "/proc/runs/digits"])
def test_a_place_that_cannot_be_written_is_refused(place):
    with pytest.raises(RunError, match="cannot be written") as caught:
        rundir.RunDirectory(Path(place)).create()
    assert "run.root=" in caught.value.remedy


def test_a_run_is_found_by_path_and_by_name(run):
    assert rundir.find(run.path) == run
    assert rundir.find("digits", root=run.path.parent) == run
    with pytest.raises(RunError, match=r"no run 'other': looked for config.yaml in other and .*runs/other"):
        rundir.find("other", root=run.path.parent)
