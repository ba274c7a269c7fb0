"""One manager a run: two would ask the same questions and number them twice."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from gtn_hpc.core.errors import RunError
from gtn_hpc.core.rundir import RunDirectory


@contextmanager
def sole_manager(run: RunDirectory) -> Iterator[None]:
    """Holds the run's manager lock; the system releases it when the process ends, however it ends.

    Raises:
        RunError: another living process manages a search in this run directory.
    """
    run.journal.mkdir(parents=True, exist_ok=True)
    with open(run.journal / "manager.lock", "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"Another process is searching in {run.path}.",
                remedy="Wait for it or end it; for a second search at the same time take another run.name.",
            ) from error
        yield
