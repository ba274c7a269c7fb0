"""What batch scripts and submitted jobs ask of Slurm, of launchers and of Python: stand-ins note what they are told."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from gtn_hpc.cluster.slurm import FIRST_PORT, PORTS
from gtn_hpc.config.site import Site
from gtn_hpc.launch import task
from gtn_hpc.launch.scripts import write_all
from gtn_hpc.launch.task import StageFailed

QUEUE = """echo '8 RUNNING 7_0'; echo '7 RUNNING 7_1'; echo '9 COMPLETING 7_2'"""
"""Of three tasks of an array one has the number of the array."""

STAND_INS = {
    "squeue": QUEUE,
    # a requeue ends the script
    "scontrol": '[ "$1" = show ] && { echo head; exit; }; echo "scontrol $*" >> told; kill -KILL $PPID',
    "srun": 'echo "srun $* SRUN_CPUS_PER_TASK=$SRUN_CPUS_PER_TASK" >> told; exit 75',
    "mpiexec": 'echo "mpiexec $* SRUN_CPUS_PER_TASK=$SRUN_CPUS_PER_TASK" >> told; exit 75',
    "python": '[ "$3" = after-step ] || { eval "${STEP:-exit 75}"; exit; }; echo "python $*" >> told',
}


@pytest.fixture
def at_work(tmp_path, monkeypatch, launch):
    """Runs the script of a site as the job of `environ`, and gives the lines of what was told."""
    monkeypatch.chdir(tmp_path)
    for name, text in STAND_INS.items():
        (tmp_path / "bin" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")

    def run(script, environ, before=(), **profile):
        write_all(Site(**profile), tmp_path / "scripts")
        launch([*before, tmp_path / "scripts" / script, "x.yaml"], environ=environ, check=False)
        return (tmp_path / "told").read_text().splitlines()

    return run


@pytest.mark.parametrize(("job", "name"), [("8", "7_0"), ("7", "7_1"), ("9", None)])
def test_a_script_puts_back_its_own_task_of_an_array_while_that_is_running(at_work, job, name):
    array = {"SLURM_ARRAY_JOB_ID": "6", "SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "3"}
    told = at_work("search_array.sbatch", {"SLURM_JOB_ID": job, **array})
    assert [line for line in told if line.startswith("scontrol")] == [f"scontrol requeue {name}"] * (name is not None)


@pytest.mark.parametrize(("job", "name"), [("8", "7_0"), ("7", "7_1"), ("9", None)])
def test_a_submitted_job_puts_back_its_own_task_of_an_array_while_that_is_running(at_work, monkeypatch, job, name):
    asked = []
    monkeypatch.setenv("SLURM_JOB_ID", job)
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "6")  # of the job that it was submitted from
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    monkeypatch.setattr(task, "SLURM_ENDS_US", 0.0)
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda words, **how: asked.append(words) or run(["squeue"], **how))
    with pytest.raises(StageFailed, match=f"job {job} was not requeued"):
        task._requeue("search")
    assert asked[1:] == [["scontrol", "requeue", name]] * (name is not None)


BY_SRUN = {"teaching": "srun", "searching": "srun"}
BY_MPIEXEC = {"teaching": "mpiexec", "searching": "mpiexec"}


@pytest.mark.parametrize("script", ["meta_train.sbatch", "search.sbatch", "final.sbatch"])
@pytest.mark.parametrize(("profile", "starts"), [(BY_SRUN, "srun"), (BY_MPIEXEC, "mpiexec")])
def test_srun_gives_each_task_its_cores_and_the_daemons_of_mpiexec_all_of_a_node(at_work, script, profile, starts):
    step, *_ = at_work(script, {"SLURM_JOB_ID": "8", "SLURM_NTASKS": "3", "SLURM_CPUS_PER_TASK": "4"}, **profile)
    assert step.startswith(f"{starts} ")
    assert ("--cpus-per-task=4" in step) == (starts == "srun")
    assert step.endswith(" SRUN_CPUS_PER_TASK=")  # what the srun of mpiexec's own would obey


def test_a_set_up_may_read_what_is_not_set(at_work):
    """As that of conda does."""
    job, setup = {"SLURM_JOB_ID": "8", "SLURM_NTASKS": "3"}, ('PATH="$PATH$NEVER_SET"',)
    step, *_ = at_work("search.sbatch", job, setup=setup)
    assert step.startswith("mpiexec ")


def test_torchrun_of_two_jobs_meets_at_two_ports_of_their_head_node(at_work):
    nodes = {"SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "1", "SLURM_JOB_NODELIST": "head,other"}
    for job in ("7", "8"):
        told = at_work("meta_train.sbatch", {"SLURM_JOB_ID": job, **nodes}, teaching="torchrun")
    first, second = map(int, re.findall(r"--rdzv-endpoint=head:(\d+) ", " ".join(told)))
    assert first != second
    assert not {first, second} & {*range(FIRST_PORT, FIRST_PORT + PORTS)}  # of ranks that srun starts


WARNED = """"$@" & until [ -e begun ]; do sleep 0.1; done; kill -USR2 $!; wait; kill -KILL 0"""
"""Warns a script whose step has begun, and ends what is left of it, as Slurm does."""

STEPS = {
    "ends": ("trap 'exit 3' USR2; touch begun; while :; do sleep 0.1; done", 3600, 3),
    "does not listen": ("touch begun; exec sleep 300", 3600, 140),
    "runs on": ("trap '' USR2; touch begun; sleep 300", 2, 75),
}


@pytest.mark.parametrize("how", STEPS)
def test_a_warned_step_has_until_shortly_before_the_limit_to_end(at_work, how):
    step, lead, code = STEPS[how]
    told = at_work("final.sbatch", {"SLURM_JOB_ID": "8", "STEP": step}, ("bash", "-c", WARNED, "warned"), lead=lead)
    assert re.findall(r"--code (\d+)", told[0]) == [str(code)]
    assert told[1:] == ["scontrol requeue 7_0"]


@pytest.mark.parametrize(("patience", "code"), [(0.0, 75), (600.0, 5)])
def test_a_warned_stage_of_a_submitted_job_does_too(tmp_path, patience, code):
    """It ends where it may, which in the first case is when the test is over."""
    begun, end = tmp_path / "begun", tmp_path / "end"
    stage = f"""
import signal, time
from pathlib import Path

signal.signal(signal.SIGUSR2, lambda *_: {code == 5} and Path({str(end)!r}).touch())
Path({str(begun)!r}).touch()
while not Path({str(end)!r}).exists():
    time.sleep(0.05)
raise SystemExit(5)
"""

    def warn():
        while not begun.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGUSR2)

    threading.Thread(target=warn, daemon=True).start()
    assert task._run([sys.executable, "-c", stage], patience) == code
    end.touch()
