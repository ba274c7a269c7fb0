"""The scripts of slurm/ on a real Slurm: digests of one process, restarts that change no bit, pipelines."""

import json

from slurm_jobs import ENDED, LONG, ROOT, TINY, TWO_NODES, alone, begun, digest, jobs_of, said, state_of

from gtn_hpc.config.site import Site
from gtn_hpc.launch.scripts import write_all
from gtn_hpc.storage import open_file


def test_a_job_that_slurm_warns_goes_on_after_a_requeue_to_the_same_digest(slurm, tmp_path, hold_at):
    run, hold = tmp_path / "tiny", hold_at("step-000020")
    asked = (TINY, f"run.root={tmp_path}", *LONG)
    job = slurm.submit("meta_train.sbatch", *asked, options=TWO_NODES, place=tmp_path, environ=hold.environ)
    begun(run)
    slurm.run("scancel", "--batch", "--signal=USR2", job)
    hold.release()
    slurm.succeed(job, tmp_path)
    assert slurm.show(job, "Restarts") == "1"
    assert state_of(run)["stages"]["train"]["status"] == "done"
    assert digest(run) == alone(*LONG)
    environment = json.loads((run / "environment.json").read_text())
    assert environment["slurm"]["SLURM_JOB_ID"] == job
    assert environment["slurm"]["SLURM_RESTART_COUNT"] == "1"
    assert "#SBATCH --requeue" in environment["sbatch"]
    assert [event["requeue"] for event in jobs_of(run)] == [True, False]


def test_the_pipeline_over_two_nodes_has_the_digest_of_one_process_and_leaves_a_report(slurm, tmp_path):
    options = f"--output={tmp_path}/%x-%j.out --time=20 --cpus-per-task=1"
    stages = dict.fromkeys(("FINAL", "REPORT"), options) | {"SEARCH": f"{options} --ntasks-per-node=2"}
    stages["TRAIN"] = f"{options} --nodes=2 --ntasks-per-node=2"
    told = slurm.run(ROOT / "slurm" / "pipeline.sh", TINY, f"run.root={tmp_path}", environ=stages)
    jobs = dict(line.split() for line in told.splitlines())
    assert list(jobs) == ["train", "search", "final", "report"]
    for job in jobs.values():
        slurm.succeed(job, tmp_path, timeout=200)
    run = tmp_path / "tiny"
    assert digest(run) == alone()
    assert state_of(run)["stages"]["search"]["architectures"] == 8
    assert "</html>" in (run / "report.html").read_text()
    ended = [(event["job"], event["stage"], event["code"], event["requeue"]) for event in jobs_of(run)]
    assert ended == [(job, stage, 0, False) for stage, job in jobs.items()]
    assert made_by(run / "curriculum.h5", jobs["train"])["SLURM_JOB_NODELIST"] == "vnode[0-1]"
    assert made_by(run / "scores.h5", jobs["final"])["SLURM_JOB_PARTITION"] == "batch"


def made_by(path, job):
    """What an HDF5 file says of the Slurm job that wrote it."""
    with open_file(path) as file:
        environment = file.environment
    assert environment["slurm"]["SLURM_JOB_ID"] == job
    assert "#SBATCH --requeue" in environment["sbatch"]
    return environment["slurm"]


def test_a_failed_stage_cancels_those_after_it(slurm, tmp_path):
    stages = dict.fromkeys(("TRAIN", "SEARCH", "FINAL", "REPORT"), f"--output={tmp_path}/%x-%j.out --cpus-per-task=1")
    stages["SEARCH"] += " --ntasks-per-node=2"
    told = slurm.run(ROOT / "slurm" / "pipeline.sh", TINY, f"run.root={tmp_path}", "meta.iteration=1", environ=stages)
    train, *others = (line.split()[1] for line in told.splitlines())
    assert slurm.wait(train, tmp_path) == "FAILED"
    assert "meta.iteration: unknown key. Did you mean 'iterations'?" in said(tmp_path)
    assert [slurm.wait(job, tmp_path, ENDED) for job in others] == ["CANCELLED"] * 3
    assert slurm.show(others[0], "Reason") == "DependencyNeverSatisfied"


STOPPED_ONCE = """#!/bin/bash
case "$SLURM_ARRAY_TASK_ID ${SLURM_RESTART_COUNT:-0} $*" in
"2 0 "*after-step*) touch asked ;; # exit code 0: a requeue
"1 0 "*after-step*) ;;
*after-step*) exit 3 ;;
"1 0 "*) until [ -e asked ]; do sleep 0.1; done; exit 75 ;;
"2 0 "*) until [ -e ended ]; do sleep 0.1; done; exit 75 ;;
"0 "*) touch ended ;;
esac
"""
"""Stands in for Python in an array: task 0 ends, then the others are stopped, task 1 while task 2 asks."""


def test_each_task_of_an_array_puts_back_itself_and_no_other(slurm, tmp_path):
    (tmp_path / "python").write_text(STOPPED_ONCE)
    (tmp_path / "python").chmod(0o755)
    write_all(Site(python=str(tmp_path / "python"), setup=(f"cd {tmp_path}",)), tmp_path / "scripts")
    script = tmp_path / "scripts" / "search_array.sbatch"
    array = slurm.submit(script, "x.yaml", options=("--array=0-2",), place=tmp_path)
    tasks = [f"{array}_{index}" for index in range(3)]
    assert [slurm.wait(task, tmp_path) for task in tasks] == ["COMPLETED"] * 3, said(tmp_path)
    assert [slurm.show(task, "Restarts") for task in tasks] == ["0", "1", "1"]
