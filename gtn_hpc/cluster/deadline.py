"""When a stage has to have ended."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from gtn_hpc.cluster import slurm
from gtn_hpc.config.teaching import Run

START_UP = 300.0
"""Seconds that a stage may need before its first task; where more have passed, earlier stages of the job took them."""


@dataclass(frozen=True)
class Deadline:
    """`end` is Unix time; `whole` are the seconds that a start of this kind has at most, None where unknown."""

    end: float
    whole: float | None = None

    @property
    def left(self) -> float:
        """Seconds from now on."""
        return self.end - time.time()

    @property
    def again(self) -> float | None:
        """Seconds that another start would have left when it is where this one is now, None where unknown."""
        return None if self.whole is None else max(0.0, self.left, self.whole - START_UP)


def deadline_of(run: Run, environ: Mapping[str, str]) -> Deadline | None:
    """The sooner of `run.deadline` from now and `run.margin` before the end of a Slurm job; None where neither is."""
    found = []
    if run.deadline is not None:
        found.append(Deadline(time.time() + run.deadline, run.deadline))
    end, start = slurm.job_end(environ), slurm.job_start(environ)
    if end is not None:
        found.append(Deadline(end - run.margin, None if start is None else end - run.margin - start))
    return min(found, key=lambda one: one.end, default=None)
