"""How much memory a worker of this host may use."""

from pathlib import Path

SHARE = 0.8
"""Of the free memory; the rest is for the system and for what is shared."""

CGROUP = Path("/sys/fs/cgroup")


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
    """What the control group of this process leaves, where it has a limit (version 2, as Slurm sets up)."""
    try:
        place = Path("/proc/self/cgroup").read_text().rpartition("::/")[2].strip()
        limit, used = ((CGROUP / place / name).read_text() for name in ("memory.max", "memory.current"))
        return int(limit) - int(used)
    except (OSError, ValueError):
        return None
