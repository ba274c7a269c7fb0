"""What a worker of the final stage does: train a winner, write the row to its own journal, and only then report it."""

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gtn_hpc.cluster.environment import detect
from gtn_hpc.cluster.seat import Seat, seat_under_manager
from gtn_hpc.config import Config
from gtn_hpc.core import environment
from gtn_hpc.core.errors import ClusterError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.farm.child import Bounds, ChildDied, Nursery
from gtn_hpc.farm.isolation import Isolated
from gtn_hpc.final.winner import Progress, Winner
from gtn_hpc.scores.journal import Journal
from gtn_hpc.scores.rows import FinalRow

MODULES = ("gtn_hpc.final.finisher",)
"""What a nursery imports before it forks training children."""

Found = FinalRow | Progress
Train = Callable[[Winner], Found]


@dataclass(frozen=True)
class Fitting:
    """Trains winners in the process that opens it, on the device of the worker at `seat`."""

    config: Config
    directory: Path
    seat: Seat

    @contextmanager
    def open(self, rank: int) -> Iterator[Train]:  # noqa: ARG002
        """Loads the images."""
        import torch

        from gtn_hpc.cluster.device import choose_shared, enter, share_memory
        from gtn_hpc.data import load, require_augment
        from gtn_hpc.final.finisher import Finisher
        from gtn_hpc.models.precision import use_precision

        config = self.config
        torch.set_num_threads(config.run.threads)
        device = enter(choose_shared(config.run.device, self.seat))
        dtype = use_precision(config.run.precision).dtype
        share_memory(device, config.run.device, self.seat)
        splits = load(config.data, seed=config.run.seed, device=device, dtype=dtype)
        require_augment(config.final.recipe.augment, splits.shape, "final.recipe")
        yield Finisher(config, splits, self.directory).train


@dataclass(frozen=True)
class Finishing:
    """Trains winners of `run`; checkpoints go below its `final/`, networks below its `winners/`, rows to a journal of
    this worker.

    Several `workers` of one process train in children of `nursery`. `managed`: it is the one worker of its rank, and
    rank 0 only asks.
    """

    config: Config
    run: RunDirectory
    workers: int = 1
    nursery: Nursery | None = None
    managed: bool = False

    @contextmanager
    def open(self, rank: int) -> Iterator[Train]:
        """A row is on disk before it is given back."""
        job = f"{environment.job()}-final"
        with self._training(rank) as train, Journal(self.run.journal, job, rank) as journal:

            def finish(winner: Winner) -> Found:
                found = train(winner)
                if isinstance(found, FinalRow):
                    found = replace(found, rank=rank, host=socket.gethostname(), job=job)
                    journal.append([found])
                return found

            yield finish

    def _training(self, rank: int) -> AbstractContextManager[Train]:
        training = Fitting(self.config, self.run.path, self._seat(rank))
        if self.nursery is None:
            return training.open(rank)
        return Isolated(training, self.nursery, _give_up, Bounds()).open(rank)

    def _seat(self, rank: int) -> Seat:
        return seat_under_manager(detect()) if self.managed else Seat(worker=rank, workers=self.workers)


def _give_up(winner: Winner, death: ChildDied) -> Found:
    raise ClusterError(
        f"The process that trained architecture {winner.arch.digest} ended: {death.detail}.",
        remedy="Start it again: it goes on where it was. Where it ends there again, look for memory and GPU faults.",
    ) from death
