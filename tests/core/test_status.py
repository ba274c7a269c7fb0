"""state.json tells a stage that runs from one that has ended, and how."""

import pytest

from gtn_hpc.core.errors import NonFiniteError, Requeue
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.core.status import failure_told, status_told


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path / "a")


def said(run):
    stage = run.read_state()["stages"]["search"]
    return stage["status"], stage["reason"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NonFiniteError("Not finite.", remedy="Lower it."), ("failed", "Not finite.")),
        (ValueError("bad\nworse"), ("failed", "Unexpected ValueError: bad")),
        (ValueError(), ("failed", "Unexpected ValueError: no message")),
        (Requeue("stopped"), ("stopped", None)),
        (KeyboardInterrupt(), ("interrupted", None)),
    ],
)
def test_a_stage_says_how_it_ended_and_a_new_start_takes_it_back(run, error, expected):
    with pytest.raises(type(error)), status_told(run, "search"):
        assert said(run) == ("running", None)
        raise error
    assert said(run) == expected
    with status_told(run, "search"):
        assert said(run) == ("running", None)
    assert said(run) == ("done", None)


def test_what_ended_a_stage_is_told_though_it_cannot_be_written_down(run, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunDirectory, "update_state", full)
    with pytest.raises(ValueError, match="bad"), failure_told(run, "search"):
        raise ValueError("bad")
