"""`slurm/jobs.jsonl` of a run: which jobs were submitted, how each start of one ended, what was decided then."""

import os
from collections.abc import Iterator
from typing import Any

from gtn_hpc.core.events import EventLog, read_events
from gtn_hpc.core.rundir import RunDirectory

FILE = "jobs.jsonl"


def write(run: RunDirectory, kind: str, **values: Any) -> None:
    """Appends one event: `submitted` or `ended`. On NFS only a lock keeps lines of two hosts apart."""
    with run.alone(), EventLog(run.slurm / FILE) as log:
        log.write(kind, **values)


def read(run: RunDirectory) -> Iterator[dict[str, Any]]:
    """All events of the run's jobs, the first one first."""
    return read_events(run.slurm / FILE) if (run.slurm / FILE).is_file() else iter(())


def this_job() -> dict[str, Any]:
    """The Slurm job that this process belongs to; empty outside one."""
    names = {
        "job": "SLURM_JOB_ID",
        "array": "SLURM_ARRAY_JOB_ID",
        "task": "SLURM_ARRAY_TASK_ID",
        "partition": "SLURM_JOB_PARTITION",
        "nodes": "SLURM_JOB_NODELIST",
    }
    return {name: os.environ[variable] for name, variable in names.items() if variable in os.environ}
