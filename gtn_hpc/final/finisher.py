"""A winner from its first epoch to its one look at the test split, resumable at every checkpoint."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gtn_hpc.checkpoint import latest, save
from gtn_hpc.config import Config
from gtn_hpc.core.errors import GtnError, NonFiniteError, OutOfMemory
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.data import Splits
from gtn_hpc.final.trainer import Trainer, Training
from gtn_hpc.final.weights import keep, network_of
from gtn_hpc.final.winner import Progress, Winner, key_of, recipe_of, space_of
from gtn_hpc.inner.trajectory import out_of_memory
from gtn_hpc.models.layers import initialise
from gtn_hpc.models.networks import Network
from gtn_hpc.models.precision import PRECISIONS
from gtn_hpc.scores.rows import FinalRow
from gtn_hpc.spaces import Space, make_space
from gtn_hpc.training.memory import peak_memory

STRETCH = 30.0
"""Seconds of a training after which whoever asked for it hears of it again, and may want it to stop."""


@dataclass(frozen=True, eq=False)
class Finisher:
    """Trains winners on images that are loaded already, each in stretches: with checkpoints in `final/` of
    `directory`, and the trained networks in `winners/`.

    A stretch ends at a checkpoint: after every `final.checkpoint_every` epochs, and after an epoch that ends more than
    `longest` seconds from its beginning.
    """

    config: Config
    splits: Splits
    directory: Path
    longest: float = STRETCH

    @property
    def run(self) -> RunDirectory:
        return RunDirectory(self.directory)

    @cached_property
    def space(self) -> Space:
        return make_space(space_of(self.config), self.splits.shape, self.splits.classes)

    def train(self, winner: Winner) -> FinalRow | Progress:
        """One more stretch from the newest checkpoint of `winner`; after the last epoch the best one is judged on the
        test split, once.

        A training that diverges is a row with status `nan`.

        Raises:
            OutOfMemory: the training does not fit.
        """
        started = time.perf_counter()
        key = key_of(self.config, winner.arch)
        with _memory_told(), peak_memory(self.splits.train.images.device) as peak:
            training = self._trainer(key).begin(self._network(winner, key))
            clock = _Clock(started, before=self._resume(training, key))
            try:
                self._stretch(training, key, clock)
                if training.epoch < self.config.final.epochs:
                    return Progress(training.epoch, training.curve[-1])
                found = self._judge(training, key)
                self._keep(winner, training, found)
            except NonFiniteError as error:
                found = {"status": "nan", "detail": error.what}
        return self._row(winner, training, key, found | {"seconds": clock.seconds, "peak_bytes": peak.bytes})

    def _stretch(self, training: Training, key: str, clock: "_Clock") -> None:
        splits, every = self.splits, self.config.final.checkpoint_every

        def ended(after: Training) -> bool:
            if after.epoch % every and clock.here < self.longest:
                return False
            meta = {"curve": after.curve, "best_epoch": after.best_epoch, "seconds": clock.seconds}
            save(self.run.final / key, after.epoch, after.tensors(), meta, keep=2)
            return True

        self._trainer(key).run(training, splits.train, splits.validation, ended)

    def _judge(self, training: Training, key: str) -> dict[str, Any]:
        training.network.load_state_dict(training.best)
        splits, trainer = (self.splits.validation, self.splits.test), self._trainer(key)
        chosen, test = (trainer.judge(training.network, images) for images in splits)
        return {
            "status": "ok",
            "val_accuracy": chosen.accuracy,
            "val_loss": chosen.loss,
            "test_accuracy": test.accuracy,
            "test_loss": test.loss,
        }

    def _keep(self, winner: Winner, training: Training, found: dict[str, Any]) -> None:
        told = {"epoch": training.best_epoch} | {name: found[name] for name in ("val_accuracy", "test_accuracy")}
        keep(self.run.winners, self.config, self.splits, winner, training.best, told)

    def _resume(self, training: Training, key: str) -> float:
        """Seconds of the stretches before."""
        loaded = latest(self.run.final / key)
        if loaded is None:
            return 0.0
        training.restore(loaded.tensors, list(loaded.meta["curve"]), loaded.meta["best_epoch"])
        return float(loaded.meta["seconds"])

    def _network(self, winner: Winner, key: str) -> Network:
        network = network_of(self.config, winner.arch, self.splits.shape, self.splits.classes)
        initialise(network, torch_generator(self.config.run.seed, "final", key))
        return network.to(self.splits.train.images.device)

    def _trainer(self, key: str) -> Trainer:
        config = self.config
        autocast = PRECISIONS[config.run.precision].autocast
        return Trainer(config.final.recipe, config.final.epochs, config.run.seed, key, autocast)

    def _row(self, winner: Winner, training: Training, key: str, found: dict[str, Any]) -> FinalRow:
        unknown = dict.fromkeys(("val_accuracy", "val_loss", "test_accuracy", "test_loss"), float("nan"))
        return FinalRow(
            key=key,
            arch=winner.arch.digest,
            replica=0,
            params=self.space.params(winner.arch),
            flops=self.space.flops(winner.arch),
            epochs=training.epoch,
            best_epoch=training.best_epoch,
            recipe=recipe_of(self.config),
            data=self.splits.name,
            time=time.time(),
            curve=dict(enumerate(training.curve, start=1)),
            extra={"place": winner.place, "estimate": winner.estimate},
            **(unknown | found),
        )


@contextmanager
def _memory_told() -> Iterator[None]:
    """Says where memory ended what a final training may do with less of."""
    try:
        yield
    except Exception as error:
        if isinstance(error, GtnError) or not out_of_memory(error):
            raise
        said = str(error).splitlines()
        raise OutOfMemory(
            f"There is no memory left to train a winner: {said[0] if said else 'the system refused more'}",
            remedy="Take a smaller final.recipe.batch, smaller networks (final.recipe.cells, final.recipe.filters; in "
            "spaces that have cells), or fewer search.workers, which train at the same time.",
        ) from error


@dataclass(frozen=True)
class _Clock:
    """Seconds of a training: of this stretch, and of all."""

    started: float
    before: float

    @property
    def here(self) -> float:
        return time.perf_counter() - self.started

    @property
    def seconds(self) -> float:
        return self.before + self.here
