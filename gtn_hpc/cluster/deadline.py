"""When a stage has to have ended."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from gtn_hpc.cluster import slurm
from gtn_hpc.config.teaching import Run


@dataclass(frozen=True)
class Deadline:
    """`end` is Unix time; `whole` are the seconds that a start of this kind has at most, None where unknown."""

    end: float
    whole: float | None = None

    @property
    def left(self) -> float:
        """Seconds from now on."""
        return self.end - time.time()


def deadline_of(run: Run, environ: Mapping[str, str]) -> Deadline | None:
    """The sooner of `run.deadline` from now and `run.margin` before the end of a Slurm job; None where neither is."""
    found = []
    if run.deadline is not None:
        found.append(Deadline(time.time() + run.deadline, run.deadline))
    end, start = slurm.job_end(environ), slurm.job_start(environ)
    if end is not None:
        found.append(Deadline(end - run.margin, None if start is None else end - run.margin - start))
    return min(found, key=lambda one: one.end, default=None)
