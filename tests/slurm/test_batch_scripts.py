"""The scripts of slurm/ on a real Slurm."""

import json
from pathlib import Path

from slurm_jobs import TINY, jobs_of, said, state_of, until

TWO_BY_TWO = ("--nodes=2", "--ntasks-per-node=2", "--cpus-per-task=1", "--gpus-per-task=1", "--time=5")


def digest(slurm, run):
    return slurm.gtn("export", run, "--digest")


def test_two_nodes_with_two_ranks_give_the_digest_of_one_process(slurm, tmp_path):
    slurm.gtn("train", TINY, f"run.root={tmp_path}/alone")
    job = slurm.submit("meta_train.sbatch", TINY, f"run.root={tmp_path}", options=TWO_BY_TWO, place=tmp_path)
    slurm.succeed(job, tmp_path)
    assert digest(slurm, tmp_path / "tiny") == digest(slurm, tmp_path / "alone" / "tiny")
    environment = json.loads((tmp_path / "tiny" / "environment.json").read_text())
    assert environment["slurm"]["SLURM_JOB_ID"] == job
    assert environment["slurm"]["SLURM_JOB_NODELIST"] == "vnode[0-1]"
    assert environment["slurm"]["SLURM_JOB_PARTITION"] == "batch"
    assert "#SBATCH --requeue" in environment["sbatch"]
    (ended,) = jobs_of(tmp_path / "tiny")
    assert (ended["job"], ended["stage"], ended["code"], ended["requeue"]) == (job, "train", 0, False)
