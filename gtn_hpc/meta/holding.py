"""A run directory that one training at a time writes to."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from gtn_hpc.cluster.communicator import Communicator
from gtn_hpc.config import Config
from gtn_hpc.config.claim import claim
from gtn_hpc.core.lock import PATIENCE, sole
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.meta.resuming import first_does


@contextmanager
def held(config: Config, communicator: Communicator) -> Iterator[RunDirectory]:
    """The run of `config`, locked and claimed by rank 0 until the block ends; all ranks get it, or rank 0's error.

    Raises:
        RunError: as `claim`, or another process trains in that directory.
    """
    with ExitStack() as locks:

        def take() -> RunDirectory:
            run = config.run.directory
            run.create()
            locks.enter_context(
                sole(run.path / "train.lock", f"training in {run.path}", patience=PATIENCE, required=False)
            )
            claim(config, "train").update_state("train", wants_requeue=False)
            return run

        yield first_does(communicator, take)
