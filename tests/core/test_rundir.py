import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from gtn_hpc.core import rundir
from gtn_hpc.core.errors import RunError, StorageError


@pytest.fixture
def run(tmp_path):
    directory = rundir.RunDirectory(tmp_path / "runs" / "digits")
    directory.create()
    directory.config.write_text("run: {name: digits}\n")
    return directory


def test_paths_are_those_of_the_design(run):
    properties = [name for name, value in vars(rundir.RunDirectory).items() if isinstance(value, property)]
    names = {getattr(run, name).relative_to(run.path).as_posix() for name in properties if name != "name"}
    assert names == {
        "config.yaml", "environment.json", "state.json", "events", "events/train.jsonl", "checkpoints", "curriculum.h5",
        "refused", "evaluations", "journal", "journal/fold.lock", "scores.h5", "states", "final", "winners",
        "tensorboard", "report.html", "slurm",
    }  # fmt: skip
    assert os.listdir(run.path) == ["config.yaml"]


def test_a_runs_own_files_are_told_from_others(run, tmp_path):
    own = [run.config, run.curriculum, run.report, run.journal / "a.jsonl", run.checkpoints / "step-1" / "state.pt"]
    for path in own:
        rundir.require_foreign(path)  # a config.yaml alone is no run
    run.update_state("train", done=True)
    (tmp_path / "link").symlink_to(run.path)
    for path in [*own, tmp_path / "link" / "state.json"]:
        with pytest.raises(StorageError, match=f"{path.name} belongs to a run"):
            rundir.require_foreign(path)
    for path in (run.path / "twice.h5", run.path / "pages" / "report.html", run.path.parent / "scores.h5"):
        rundir.require_foreign(path)


def test_state_remembers_each_stage(run):
    assert run.read_state() == {"schema": 1, "wants_requeue": False, "stages": {}}
    run.update_state("train", iteration=5, wants_requeue=True)
    run.update_state("search", scored=3)
    assert run.read_state()["wants_requeue"] is True
    run.update_state("train", done=True, wants_requeue=False)
    state = run.read_state()
    assert state["wants_requeue"] is False
    assert (state["stages"]["train"]["iteration"], state["stages"]["train"]["done"]) == (5, True)
    assert state["stages"]["search"]["scored"] == 3


def test_jobs_that_write_state_at_once_lose_nothing(run):
    program = (
        "import sys; from pathlib import Path; from gtn_hpc.core.rundir import RunDirectory\n"
        "for n in range(40): RunDirectory(Path(sys.argv[1])).update_state(sys.argv[2], **{f'value{n}': n})"
    )
    jobs = [subprocess.Popen([sys.executable, "-c", program, run.path, f"stage{job}"]) for job in range(4)]
    assert [job.wait() for job in jobs] == [0] * 4
    stages = run.read_state()["stages"]
    assert {name: len(entry) for name, entry in stages.items()} == {f"stage{job}": 41 for job in range(4)}


def test_a_wish_names_its_job(run, monkeypatch):
    run.update_state("train", wants_requeue=True)
    assert run.read_state()["job"] == "local"
    monkeypatch.setenv("SUBMITIT_LOCAL_JOB_ID", "7")
    run.update_state("train", wants_requeue=False)
    assert run.read_state()["job"] == "7"
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    run.update_state("train", iteration=3)
    assert run.read_state()["job"] == "7"
    run.update_state("train", wants_requeue=True)
    assert run.read_state()["job"] == "41"


@contextmanager
def interrupting(run, **told):
    """A signal's handler that writes state in the middle of another write."""
    before = signal.signal(signal.SIGUSR2, lambda *_: run.update_state("search", **told))
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_handler_that_interrupts_a_writer_of_state_does_not_wait_for_it(run, monkeypatch, when):
    read, told = rundir.RunDirectory.read_state, []

    def interrupted(self):
        first = not told
        told.append("once")
        if first and when == "before":
            signal.raise_signal(signal.SIGUSR2)
        found = read(self)
        if first and when == "after":
            signal.raise_signal(signal.SIGUSR2)
        return found

    monkeypatch.setattr(rundir.RunDirectory, "read_state", interrupted)
    with interrupting(run, stopped=True):
        run.update_state("search", scored=3)
    entry = run.read_state()["stages"]["search"]
    assert (entry["scored"], entry["stopped"]) == (3, True)


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_handler_wishes_while_state_is_written_is_not_lost(run, monkeypatch, when):
    write, told = rundir.atomic.write_json, []

    def interrupted(path, value):
        first = not told
        told.append(value)
        if first and when == "before":
            signal.raise_signal(signal.SIGUSR2)
        write(path, value)
        if first and when == "after":
            signal.raise_signal(signal.SIGUSR2)

    monkeypatch.setattr(rundir.atomic, "write_json", interrupted)
    with interrupting(run, wants_requeue=True):
        run.update_state("search", scored=3)
    state = run.read_state()
    assert (state["wants_requeue"], state["stages"]["search"]["scored"]) == (True, 3)


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
