"""One manager a run: two would ask the same questions and number them twice."""

from contextlib import AbstractContextManager

from gtn_hpc.core.lock import PATIENCE, sole
from gtn_hpc.core.rundir import RunDirectory


def sole_manager(run: RunDirectory) -> AbstractContextManager[None]:
    """Holds the run's manager lock, after those of a launcher that was killed have ended.

    Raises:
        RunError: another living process manages a search in this run directory, or it cannot be written.
    """
    run.create()
    return sole(run.journal / "manager.lock", f"searching in {run.path}", patience=PATIENCE)
