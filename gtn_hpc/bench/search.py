"""`gtn bench search`: how much of two workers' time is spent in tasks, farm beside farm."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from gtn_hpc.bench.farms import SYSTEMS, WORKERS, workload
from gtn_hpc.core.environment import describe
from gtn_hpc.core.errors import ClusterError

Row = dict[str, Any]

TASKS = ("sleep:10", "sleep:100", "cpu:10", "cpu:100", "skewed")
NEEDS = {"gtn": "mpi4py", "mpi4py.futures": "mpi4py", "parsl": "parsl"}
RANKED = ("gtn", "mpi4py.futures")
"""Those that mpiexec starts."""
RANKS = 1 + WORKERS
TIME_LIMIT = 600


def run(
    tasks: Sequence[str] = TASKS, *, repeats: int = 3, rounds: int = 2, say: Callable[[str], object] = print
) -> dict[str, Any]:
    """Median efficiency of every system, a manager and two workers each, over `rounds` x `repeats`; the systems take
    turns in rounds, so that other work on the machine meets all of them. Ours isolates each task in a child and bounds
    its time and memory; the others do not. `no farm` is one process alone: a task of 10 ms takes a little longer than
    that whoever asks for it. Returns the report of design.md.

    Raises:
        UsageError: there is no such task.
        ClusterError: a system did not end as it should.
    """
    for name in tasks:
        workload(name)
    found: dict[str, list[dict[str, list[float]]]] = {}
    skipped = {system: reason for system in SYSTEMS if (reason := why_not(system))}
    for turn in range(rounds):
        for system in SYSTEMS:
            if system not in skipped:
                found.setdefault(system, []).append(_measure(system, repeats, tasks))
                say(f"round {turn + 1} of {rounds}: {system}")
    rows = [
        _row(system, name, [t for part in parts for t in part[name]])
        for system, parts in found.items()
        for name in tasks
    ]
    rows += [{"system": system, "skipped": reason} for system, reason in skipped.items()]
    return {"bench": "search", "workload": " + ".join(tasks), "environment": describe(), "rows": rows}


def why_not(system: str) -> str | None:
    needed = NEEDS.get(system)
    if needed is not None and find_spec(needed) is None:
        return f"{needed} is not installed"
    return None if system not in RANKED or _mpiexec() else "there is no mpiexec"


def _mpiexec() -> str | None:
    beside = Path(sys.executable).parent
    return shutil.which("mpiexec", path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")


def _measure(system: str, repeats: int, tasks: Sequence[str]) -> dict[str, list[float]]:
    """Seconds of each repeat of each task."""
    launcher = [str(_mpiexec()), "--oversubscribe", "-n", str(RANKS)] if system in RANKED else []
    command = [*launcher, sys.executable, "-m", "gtn_hpc.bench.farms", system, str(repeats), *tasks]
    beside = str(Path(sys.executable).parent)
    environ = {**os.environ, "PATH": f"{beside}{os.pathsep}{os.environ.get('PATH', '')}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
    if done.returncode != 0:
        raise ClusterError(
            f"{system} could not be measured: {' '.join(command)} ended with {done.returncode} and said\n"
            f"{done.stderr.strip()[-2000:]}",
            remedy="As root, Open MPI starts only with OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1.",
        )
    seconds: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def _row(system: str, name: str, seconds: Sequence[float]) -> Row:
    tasks, alone = workload(name), system == "no farm"
    ideal = sum(task.seconds for task in tasks) / (1 if alone else WORKERS)
    ratios = sorted(ideal / value for value in seconds)
    return {
        "system": system,
        "task": name.partition(":")[0],
        "task_ms": round(1e3 * min(task.seconds for task in tasks), 3),
        "ranks": 1 if alone else RANKS,
        "efficiency": round(median(ratios), 4),
        "efficiency_best": round(ratios[-1], 4),
        "tasks": len(tasks),
    }
