"""What `state.json` says of how a stage goes: running, done, stopped, interrupted, or failed with a reason."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from gtn_hpc.core.errors import GtnError, Requeue, headline
from gtn_hpc.core.rundir import RunDirectory

RUNNING = "running"


@contextmanager
def status_told(run: RunDirectory, stage: str) -> Iterator[None]:
    """`stage` runs within the block and is done at its end, or as `failure_told`.

    For the process that has claimed the stage; one that is killed leaves it running.
    """
    run.update_state(stage, status=RUNNING, reason=None)
    with failure_told(run, stage):
        yield
    run.update_state(stage, status="done")


@contextmanager
def failure_told(run: RunDirectory, stage: str) -> Iterator[None]:
    """Where an error ends the block the stage is stopped (Requeue), interrupted (Ctrl-C), or failed with the reason."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        with suppress(OSError, GtnError):  # what ended the block is told, not that there was no room to write it down
            status = _status_after(error)
            run.update_state(stage, status=status, reason=headline(error) if status == "failed" else None)
        raise


def _status_after(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "stopped" if isinstance(error, Requeue) else "failed"
