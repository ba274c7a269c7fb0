"""The scripts of slurm/ on a real Slurm: digests of one process, restarts that change no bit, pipelines."""

import json

from slurm_jobs import ENDED, LONG, ROOT, TINY, TWO_NODES, alone, begun, digest, jobs_of, said, state_of

TWO_BY_TWO = ("--nodes=2", "--ntasks-per-node=2", "--cpus-per-task=1", "--time=5")


def test_two_nodes_with_two_ranks_give_the_digest_of_one_process(slurm, tmp_path):
    job = slurm.submit("meta_train.sbatch", TINY, f"run.root={tmp_path}", options=TWO_BY_TWO, place=tmp_path)
    slurm.succeed(job, tmp_path)
    assert digest(tmp_path / "tiny") == alone(tmp_path)
    environment = json.loads((tmp_path / "tiny" / "environment.json").read_text())
    assert environment["slurm"]["SLURM_JOB_ID"] == job
    assert environment["slurm"]["SLURM_JOB_NODELIST"] == "vnode[0-1]"
    assert environment["slurm"]["SLURM_JOB_PARTITION"] == "batch"
    assert "#SBATCH --requeue" in environment["sbatch"]
    (ended,) = jobs_of(tmp_path / "tiny")
    assert (ended["job"], ended["stage"], ended["code"], ended["requeue"]) == (job, "train", 0, False)


def test_a_job_that_slurm_warns_goes_on_after_a_requeue_to_the_same_digest(slurm, tmp_path):
    run = tmp_path / "tiny"
    job = slurm.submit("meta_train.sbatch", TINY, f"run.root={tmp_path}", *LONG, options=TWO_NODES, place=tmp_path)
    begun(run)
    slurm.run("scancel", "--batch", "--signal=USR2", job)
    slurm.succeed(job, tmp_path)
    assert slurm.show(job, "Restarts") == "1"
    assert state_of(run)["stages"]["train"]["status"] == "done"
    assert digest(run) == alone(tmp_path, *LONG)
    assert json.loads((run / "environment.json").read_text())["slurm"]["SLURM_RESTART_COUNT"] == "1"
    assert [event["requeue"] for event in jobs_of(run)] == [True, False]


def test_the_pipeline_runs_all_stages_and_leaves_a_report(slurm, tmp_path):
    options = f"--output={tmp_path}/%x-%j.out --time=5 --cpus-per-task=1"
    stages = dict.fromkeys(("TRAIN", "FINAL", "REPORT"), options) | {"SEARCH": f"{options} --ntasks-per-node=2"}
    told = slurm.run(ROOT / "slurm" / "pipeline.sh", TINY, f"run.root={tmp_path}", environ=stages)
    jobs = dict(line.split() for line in told.splitlines())
    assert list(jobs) == ["train", "search", "final", "report"]
    for job in jobs.values():
        slurm.succeed(job, tmp_path, timeout=200)
    state = state_of(tmp_path / "tiny")["stages"]
    assert state["search"]["architectures"] == 8
    assert "</html>" in (tmp_path / "tiny" / "report.html").read_text()
    assert [event["stage"] for event in jobs_of(tmp_path / "tiny")] == list(jobs)


def test_a_failed_stage_cancels_those_after_it(slurm, tmp_path):
    stages = dict.fromkeys(("TRAIN", "SEARCH", "FINAL", "REPORT"), f"--output={tmp_path}/%x-%j.out --cpus-per-task=1")
    stages["SEARCH"] += " --ntasks-per-node=2"
    told = slurm.run(ROOT / "slurm" / "pipeline.sh", TINY, f"run.root={tmp_path}", "meta.iteration=1", environ=stages)
    train, *others = (line.split()[1] for line in told.splitlines())
    assert slurm.wait(train, tmp_path) == "FAILED"
    assert "meta.iteration: unknown key. Did you mean 'iterations'?" in said(tmp_path)
    assert [slurm.wait(job, tmp_path, ENDED, timeout=30) for job in others] == ["CANCELLED"] * 3
    assert slurm.show(others[0], "Reason") == "DependencyNeverSatisfied"
