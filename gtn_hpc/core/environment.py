"""What a result depends on besides its configuration: versions, revision, machine."""

import functools
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from itertools import takewhile
from pathlib import Path
from typing import Any

SLURM = (
    "SLURM_CLUSTER_NAME",
    "SLURM_JOB_PARTITION",
    "SLURM_JOB_NAME",
    "SLURM_JOB_ID",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_STEP_ID",
    "SLURM_RESTART_COUNT",
    "SLURM_JOB_NODELIST",
    "SLURM_NTASKS",
    "SLURM_CPUS_PER_TASK",
    "SLURM_GPUS_ON_NODE",
)
"""What is kept of a Slurm job; never the whole environment, which may hold credentials."""

GPUS = Path("/proc/driver/nvidia/gpus")

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "h5py",
    "higher",
    "mpi4py",
    "submitit",
    "optuna",
    "pydantic",
    "gymnasium",
)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _gpus() -> list[str]:
    """Models of this host's NVIDIA GPUs, by its driver; those that a job may not use among them."""
    told = [path.read_text() for path in sorted(GPUS.glob("*/information"))] if GPUS.is_dir() else []
    lines = [line for text in told for line in text.splitlines() if line.startswith("Model:")]
    return [line.split(":", 1)[1].strip() for line in lines]


def gpus_of_job() -> int:
    """GPUs that this job has on this host."""
    return count_gpus(os.environ.get("SLURM_GPUS_ON_NODE", ""), os.environ.get("CUDA_VISIBLE_DEVICES"), _gpus())


def count_gpus(told: str, visible: str | None, present: Sequence[str]) -> int:
    """GPUs of a job on a host: as Slurm has `told`, else those of CUDA_VISIBLE_DEVICES (`visible`, which ends at the
    first -1), else all that are `present`."""
    if told.isdecimal():
        return int(told)
    if visible is None:
        return len(present)
    return len(list(takewhile(lambda name: name.strip() not in ("", "-1"), visible.split(","))))


def job() -> str:
    """The name of this job by Slurm, or by submitit on this machine; `local` outside one."""
    return os.environ.get("SLURM_JOB_ID") or os.environ.get("SUBMITIT_LOCAL_JOB_ID", "local")


def restarts() -> int:
    """How often Slurm has started this job again."""
    return int(os.environ.get("SLURM_RESTART_COUNT", "0"))


@functools.cache
def _static() -> dict[str, Any]:
    from gtn_hpc import __version__

    return {
        "gtn_hpc": __version__,
        "revision": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "gpus": _gpus(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "host": platform.node(),
        "packages": {name: _version(name) for name in PACKAGES},
        "command": sys.argv,
    }


def describe() -> dict[str, Any]:
    """JSON-able description of software, code revision (None outside a checkout), machine and Slurm job.

    `sbatch` is the text of the job's batch script, where that has put it into the environment as ours do;
    `visible_gpus` is CUDA_VISIBLE_DEVICES, None where nothing restricts which of `gpus` are seen.
    """
    slurm = {name: os.environ[name] for name in SLURM if name in os.environ}
    modules = [module for module in os.environ.get("LOADEDMODULES", "").split(":") if module]
    told = {"visible_gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "sbatch": os.environ.get("GTN_SBATCH")}
    return {**_static(), "slurm": slurm, "modules": modules, **told}
