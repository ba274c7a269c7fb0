"""Submission through submitit to the real Slurm."""

import pytest
from slurm_jobs import TINY, alone, digest, jobs_of, until

from gtn_hpc.core.errors import ClusterError
from gtn_hpc.launch import submit


def test_a_submitted_job_has_a_result(slurm, tmp_path, submitted):
    (job,) = submitted(nodes=2)
    assert job.id.isdecimal()
    assert not job.done()
    outcome = job.result()
    assert outcome.run == tmp_path / "tiny"
    assert outcome.state["train"]["status"] == "done"
    assert digest(outcome.run) == alone()
    first, last = jobs_of(outcome.run)
    assert (first["kind"], first["job"], first["stages"]) == ("submitted", job.id, ["train"])
    assert (last["kind"], last["job"], last["nodes"], last["code"]) == ("ended", job.id, "vnode[0-1]", 0)
    script = (outcome.run / "slurm" / "submitit" / f"{job.id}_submission.sh").read_text()
    assert script in (outcome.run / "environment.json").read_text().encode().decode("unicode_escape")


def test_a_failure_brings_the_remote_message_and_cancels_what_waits(slurm, tmp_path, submitted):
    jobs = submitted("data.name=nowhere", stage="pipeline")
    assert [job.stages for job in jobs] == [("train",), ("search",), ("final",), ("report",)]
    with pytest.raises(ClusterError, match=r"(?s)FAILED.*gtn: .*nowhere.*gtn train ended with exit code") as caught:
        jobs[0].result()
    assert "Traceback" not in str(caught.value)
    until(lambda: all(job.state() == "CANCELLED" for job in jobs[1:]), "to cancel what waits")
    with pytest.raises(ClusterError, match="is CANCELLED: it left no result"):
        jobs[1].result()


def test_without_slurm_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="There is no Slurm here"):
        submit(TINY, [f"run.root={tmp_path}"], cluster="slurm")
