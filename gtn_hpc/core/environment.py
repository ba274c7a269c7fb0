"""What a result depends on besides its configuration: versions, revision, machine."""

import functools
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "h5py", "higher", "mpi4py", "submitit", "optuna", "pydantic")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None
    done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


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
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "host": platform.node(),
        "packages": {name: _version(name) for name in PACKAGES},
        "command": sys.argv,
    }


def describe() -> dict[str, Any]:
    """JSON-able description of software, code revision (None outside a checkout), machine and Slurm job."""
    slurm = {k: v for k, v in os.environ.items() if k.startswith("SLURM_") and "TOKEN" not in k}
    return {**_static(), "slurm": slurm}
