"""How much memory a worker of this host may use."""

from pathlib import Path

SHARE = 0.8
"""Of the free memory; the rest is for the system and for what is shared."""

CGROUP = Path("/sys/fs/cgroup")

MEMBERSHIP = Path("/proc/self/cgroup")

CACHES = ("active_file", "inactive_file")
"""What the kernel gives back of a control group's memory before the group is at its limit."""


def fair_share(workers: int) -> int | None:
    """Bytes for each of `workers`: most of what is free on the host or in the job's own limit; None where unknown."""
    free = [value for value in (_host(), _job()) if value is not None]
    return int(SHARE * min(free) / workers) if free else None


def _host() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _job() -> int | None:
    """What the control groups of this process leave (version 2): under Slurm the job and its step have the limits, and
    the task's own group has none."""
    try:
        own = CGROUP / MEMBERSHIP.read_text().rpartition("::/")[2].strip()
    except OSError:
        return None
    left = [_left(group) for group in (own, *own.parents) if group.is_relative_to(CGROUP)]
    return min((value for value in left if value is not None), default=None)


def _left(group: Path) -> int | None:
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        lines = [line.split() for line in (group / "memory.stat").read_text().splitlines()]
    except (OSError, ValueError):  # no such group, or its limit is "max"
        return None
    return limit - used + sum(int(value) for name, value in lines if name in CACHES)
