"""What Slurm's own variables say: steps, node lists (`node[01-03,7],gpu2`) and task lists (`2(x3),1`)."""

import re
from collections.abc import Mapping

from gtn_hpc.core.errors import ClusterError

PSEUDO_STEPS = 0xFFFFFFF0
"""Step numbers from here on mark the batch script and interactive shells, which are no ranks."""

FIRST_PORT, PORTS = 15_000, 15_000
"""Below the ports that systems hand out by themselves."""


def in_step(environ: Mapping[str, str]) -> bool:
    """True in a task that srun started; false in the batch script, an interactive shell and outside Slurm."""
    step = environ.get("SLURM_STEP_ID", "")
    return step.isdecimal() and int(step) < PSEUDO_STEPS


def first_host(nodelist: str) -> str:
    """The first host that a node list names."""
    first = re.match(r"(?:[^,\[\]]|\[[^\]]*\])+", nodelist.strip())
    if first is None:
        raise ClusterError(f"The node list {nodelist!r} names no host.", remedy="Set MASTER_ADDR and MASTER_PORT.")
    return re.sub(r"\[([^,\-\]]+)[^\]]*\]", r"\1", first[0])


def tasks_by_node(tasks: str) -> list[int]:
    """The number of tasks of each node: `2(x3),1` -> [2, 2, 2, 1]."""
    counts: list[int] = []
    for part in tasks.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
        if match is None:
            raise ClusterError(f"SLURM_STEP_TASKS_PER_NODE is {tasks!r}, which cannot be read.", remedy="Use srun.")
        counts += [int(match[1])] * int(match[2] or 1)
    return counts


def tasks_here(environ: Mapping[str, str]) -> int:
    """How many tasks of this step run on this node."""
    counts = tasks_by_node(environ.get("SLURM_STEP_TASKS_PER_NODE", ""))
    node = environ.get("SLURM_NODEID", "")
    if not node.isdecimal() or int(node) >= len(counts):
        raise ClusterError(f"SLURM_NODEID is {node!r} in a step of {len(counts)} nodes.", remedy="Use srun.")
    return counts[int(node)]


def port(job: int, step: int) -> int:
    """A port that all tasks of a step compute alike, and that other steps hardly share."""
    return FIRST_PORT + (job * 131 + step) % PORTS


def job_end(environ: Mapping[str, str]) -> float | None:
    """When the time limit of this job ends it (Unix time); None outside Slurm and in releases that do not tell."""
    return _time("SLURM_JOB_END_TIME", environ)


def job_start(environ: Mapping[str, str]) -> float | None:
    """When this job began (Unix time); None outside Slurm and in releases that do not tell."""
    return _time("SLURM_JOB_START_TIME", environ)


def _time(name: str, environ: Mapping[str, str]) -> float | None:
    value = environ.get(name, "")
    return float(value) if value.isdecimal() else None
