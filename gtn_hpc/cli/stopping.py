"""Signals during a stage: finish what is begun, say so in state.json, exit 75."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gtn_hpc.cluster.environment import detect
from gtn_hpc.core.errors import Requeue, UsageError
from gtn_hpc.core.rundir import RunDirectory

if TYPE_CHECKING:
    from gtn_hpc.checkpoint import StopFlag
    from gtn_hpc.config import Config


@contextmanager
def stoppable(run: RunDirectory, stage: str, settings: "Config") -> "Iterator[StopFlag]":
    """A flag that signals and the deadline set; `state.json` says wants_requeue from then on, for what is under way may
    last longer than the job. At the stage's end, stopped or not, it says that the stage is done and wants nothing.

    One of several jobs that share a search ends its own part, which is not the stage.
    """
    from gtn_hpc.checkpoint import StopFlag
    from gtn_hpc.cluster.deadline import deadline_of

    def announce() -> None:
        run.update_state(stage, wants_requeue=True)

    deadline = deadline_of(settings.run, os.environ)
    part = stage == "search" and settings.search.in_parts
    try:
        with StopFlag(deadline=None if deadline is None else deadline.end, then=announce) as stop:
            yield stop
        run.update_state(stage, wants_requeue=False, **({} if part else {"done": True}))
    except Requeue:
        run.update_state(stage, wants_requeue=True)
        raise


def require_one_process(command: str) -> None:
    """Ranks that each did the whole stage would only repeat each other.

    Raises:
        UsageError: a launcher started several.
    """
    environment = detect()
    if environment.world > 1:
        raise UsageError(
            f"{command} works in one process, but {environment.launcher} started {environment.world}.",
            remedy=f"Start it without a launcher: {command} ...",
        )
