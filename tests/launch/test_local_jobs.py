"""Submission without a cluster: a process of this machine, and this process."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gtn_hpc.config import load
from gtn_hpc.config.site import Resources, Site
from gtn_hpc.core.errors import ClusterError, ConfigError, UsageError
from gtn_hpc.launch import record, submit, submitting
from gtn_hpc.launch.job import Job
from gtn_hpc.launch.submitting import dependency, plans
from gtn_hpc.launch.task import StageFailed, StageTask

HERE = Path(__file__).parent
TINY = HERE.parent / "slurm" / "tiny.yaml"


@pytest.fixture
def root(tmp_path):
    return [f"run.root={tmp_path}"]


def test_a_local_job_that_is_stopped_goes_on_by_itself(tmp_path, root, hold_at, monkeypatch):
    hold = hold_at("step-000020")
    for name, value in hold.environ.items():
        monkeypatch.setenv(name, value)
    (job,) = submit(TINY, [*root, "meta.iterations=40", "meta.replicas=1", "meta.checkpoint_every=5"], cluster="local")
    run = tmp_path / "tiny"
    end = time.monotonic() + 120
    while not list((run / "checkpoints").glob("step-*5/manifest.json")):
        assert time.monotonic() < end, job.log.read_text()
        time.sleep(0.05)
    os.kill(int(job.id), signal.SIGTERM)  # what submitit's controller passes on
    hold.release()
    outcome = job.result()
    assert outcome.stages == ("train",)
    assert outcome.starts == 2
    assert outcome.state["train"]["status"] == "done"
    submitted, stopped, done = record.read(job_run(run))
    assert submitted["cluster"] == "local"
    assert (stopped["code"], stopped["requeue"], done["code"]) == (75, True, 0)


def job_run(path):
    from gtn_hpc.core.rundir import RunDirectory

    return RunDirectory(path)


def test_the_example_of_the_documents_runs_here(tmp_path, monkeypatch):
    page = (HERE.parents[1] / "docs" / "cluster.md").read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    assert len(program.splitlines()) <= 15
    program = program.replace("configs/digits.yaml", str(TINY)).replace('cluster="slurm"', 'cluster="debug"')
    monkeypatch.chdir(tmp_path)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    assert (tmp_path / "runs" / "tiny" / "curriculum.h5").is_file()


def test_a_failure_shows_the_log_of_the_job(root):
    (job,) = submit(TINY, [*root, "data.name=nowhere"], cluster="local")
    said = r"(?s)is FAILED: a stage failed\..*nowhere.*gtn train ended with exit code"
    with pytest.raises(ClusterError, match=said) as caught:
        job.result()
    assert job.state() == "FAILED"
    for told in (str(caught.value), job.log.read_text()):
        assert "Traceback" not in told and "submitit" not in told.partition("Its whole log")[0]


def test_a_fault_of_the_program_keeps_its_traceback(tmp_path):
    import submitit

    nothing_to_start: Any = None
    task = StageTask(TINY, tmp_path, (nothing_to_start,), (), restarts=0)
    handle = submitit.LocalExecutor(folder=tmp_path / "jobs").submit(task)
    with pytest.raises(ClusterError, match=r"(?s)is FAILED.*Traceback.*TypeError"):
        Job(handle.job_id, ("train",), "local", handle).result()


def test_a_failure_in_this_process_says_what_failed(root):
    (job,) = submit(TINY, [*root, "data.name=nowhere"], cluster="debug")
    assert job.state() == "PENDING"
    with pytest.raises(ClusterError, match="gtn train ended with exit code 2") as caught:
        job.result()
    assert isinstance(caught.value.__cause__, StageFailed)
    assert "stands above" in caught.value.remedy and "log" not in str(caught.value)


def test_a_job_that_waits_for_processes_begins_when_they_have_ended(tmp_path):
    job_run(tmp_path / "tiny").create()
    other = subprocess.Popen(["sleep", "1"])
    StageTask(TINY, tmp_path / "tiny", (), (), restarts=0, after=(other.pid,))()
    assert other.poll() == 0


def test_what_is_submitted_in_one_second_keeps_its_own_configuration(tmp_path, root, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda *_: "20260101-000000")
    for seed in (1, 2):
        submit(TINY, [*root, f"run.seed={seed}"], cluster="debug")
    found = [load(path).run.seed for path in (tmp_path / "tiny" / "slurm").glob("submitted-*.yaml")]
    assert sorted(found) == [1, 2]


def test_a_configuration_that_is_submitted_takes_overrides_too(tmp_path, root):
    settings = load(TINY, root)
    for seed in (1, 2):
        submit(settings, [f"run.seed={seed}", f"run.name=seed{seed}"], cluster="debug")
    files = [next((tmp_path / f"seed{seed}" / "slurm").glob("submitted-*.yaml")) for seed in (1, 2)]
    assert [load(file) for file in files] == [load(TINY, [*root, f"run.seed={n}", f"run.name=seed{n}"]) for n in (1, 2)]
    with pytest.raises(ConfigError, match=r"run\.sed: unknown key"):
        submit(settings, ["run.sed=1"], cluster="debug")


def test_what_cannot_be_submitted_is_refused(root):
    with pytest.raises(UsageError, match="'seach' cannot be submitted"):
        submit(TINY, root, stage="seach", cluster="debug")
    with pytest.raises(UsageError, match="Did you mean 'slurm'"):
        submit(TINY, root, cluster="slrum")
    with pytest.raises(UsageError, match="stage pipeline cannot be split into an array of 3 on 'local'"):
        submit(TINY, root, stage="pipeline", cluster="local", array=3)
    with pytest.raises(UsageError, match="array of 100000 on 'local' is as many processes of this machine"):
        submit(TINY, root, stage="search", cluster="local", array=100_000)
    with pytest.raises(UsageError, match="learns from scores"):
        submit(TINY, [*root, "search.algorithm={name: evolution}"], stage="search", cluster="slurm", array=3)


def test_what_is_refused_has_submitted_and_made_nothing(tmp_path, root, monkeypatch):
    asked = tmp_path / "asked"
    for name in ("sbatch", "srun"):  # a Slurm that notes what it is asked for
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/sh\necho {name} >> {asked}\necho Submitted batch job 1\n")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(UsageError, match="learns from scores"):
        submit(TINY, [*root, "search.algorithm={name: evolution}"], stage="pipeline", array=4)
    with pytest.raises(UsageError, match="'trian' cannot be submitted"):
        submit(TINY, root, stage="trian")
    with pytest.raises(UsageError, match="no cluster 'slrum'"):
        submit(TINY, root, cluster="slrum")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_stages_on_slurm_have_the_time_of_their_own_warning_to_end(root, monkeypatch):
    found = {}

    def note(plan, *_):
        found[plan.name] = [task.patience for task in plan.tasks]
        return [Job("1", (), "slurm", None)]

    monkeypatch.setattr(submitting, "_submit", note)
    submit(TINY, root, stage="pipeline", site=Site(lead=100, search=Resources(minutes=2), report=Resources(minutes=1)))
    assert found == {"train": [70], "search": [20], "final": [70], "report": [10]}


def test_what_waits_for_what():
    found = list(plans(load(TINY), TINY, Site(), "pipeline", "slurm", array=3))
    assert [plan.name for plan in found] == ["train", "search-array", "search", "final", "report"]
    assert [task.overrides[1] for task in found[1].tasks] == [
        "search.shard=0/3",
        "search.shard=1/3",
        "search.shard=2/3",
    ]
    waits = [dependency(plan, ["1", "2", "3", "4"][:place]) for place, plan in enumerate(found)]
    assert waits == ["", "afterok:1", "afterok:1,afterany:2", "afterok:3", "afterok:4"]
    split = plans(load(TINY), TINY, Site(), "search", "local", array=3)
    assert [(plan.name, len(plan.tasks), plan.after) for plan in split] == [
        ("search-array", 3, None),
        ("search", 1, "afterany"),
    ]
    (alone,) = plans(load(TINY), TINY, Site(), "pipeline", "local")
    assert alone.tasks[0].stages == ("train", "search", "final", "report")
