"""What is made of the states that Slurm tells of a job: which are an end, at once or when they last."""

from types import SimpleNamespace

import pytest

from gtn_hpc.core.errors import ClusterError
from gtn_hpc.launch import job as jobs
from gtn_hpc.launch.job import Job, slurm_state


class Clock:
    """Time passes by sleeping alone."""

    def __init__(self):
        self.now = 1e9

    def time(self):
        return self.now

    monotonic = time

    def sleep(self, seconds):
        self.now += seconds
        assert self.now < 1e9 + 86_400, "waits for ever"

    @staticmethod
    def localtime(seconds):
        return seconds

    @staticmethod
    def strftime(form, seconds):
        return f"second {seconds - 1e9:.0f}"


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Gives a job without a result, of which Slurm tells the given states: one a look, and the last one for good."""
    clock = Clock()
    monkeypatch.setattr(jobs, "time", clock)

    def job(*states):
        left = list(states)
        monkeypatch.setattr(jobs, "slurm_state", lambda _: left.pop(0) if len(left) > 1 else left[0])
        paths = SimpleNamespace(result_pickle=tmp_path / "result", stderr=tmp_path / "log")
        return Job("7", ("train",), "slurm", SimpleNamespace(paths=paths))

    job.clock = clock
    return job


@pytest.mark.parametrize(
    ("state", "patience", "meaning"),
    [
        ("PREEMPTED", 120, "it was not put back into the queue"),
        ("UNKNOWN", 120, "Slurm does not know it any more"),
        ("UNREACHABLE", 3600, "Slurm does not answer"),
    ],
)
def test_a_doubtful_state_that_lasts_is_an_end_and_says_what_slurm_said_and_since_when(
    told, tmp_path, state, patience, meaning
):
    job = told("RUNNING", state)
    assert not job.done() and not job.done()
    (tmp_path / "log").write_text("the last words")
    said = f"(?s)is {state} since second 0, {meaning}: it left no result.*the last words"
    with pytest.raises(ClusterError, match=said) as caught:
        job.result()
    assert patience <= told.clock.now - 1e9 < patience + 10
    assert str(tmp_path / "log") in caught.value.remedy


def test_a_preempted_job_that_comes_back_is_waited_for(told, tmp_path):
    job = told("RUNNING", *["PREEMPTED"] * 40, "PENDING", *["RUNNING"] * 500, "PREEMPTED", "RUNNING", "COMPLETED")
    job.wait()
    assert job.state() == "COMPLETED"


def test_an_end_that_was_seen_stays_when_slurm_has_forgotten_it(told):
    job = told("RUNNING", "FAILED", "UNKNOWN")
    states = [job.state() for _ in range(4)]
    assert states == ["RUNNING", "FAILED", "FAILED", "FAILED"]
    with pytest.raises(ClusterError, match="is FAILED: it left no result"):
        job.result()


@pytest.mark.parametrize(
    ("squeue", "state"),
    [
        ("echo COMPLETING", "COMPLETING"),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", "UNKNOWN"),
        ("exit 0", "UNKNOWN"),
        ("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", "UNREACHABLE"),
    ],
)
def test_who_does_not_answer_is_told_from_who_does_not_know(tmp_path, monkeypatch, squeue, state):
    command = tmp_path / "squeue"
    command.write_text(f"#!/bin/sh\n{squeue}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm_state("7") == state
