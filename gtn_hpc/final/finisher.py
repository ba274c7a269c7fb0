"""A winner from its first epoch to its one look at the test split, resumable at every checkpoint."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gtn_hpc.checkpoint import latest, save
from gtn_hpc.config import Config
from gtn_hpc.core.errors import NonFiniteError, Requeue
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.data import Splits
from gtn_hpc.final.trainer import Trainer, Training
from gtn_hpc.final.winner import Winner, key_of, recipe_of, space_of
from gtn_hpc.models.layers import initialise
from gtn_hpc.models.networks import Network, build_network
from gtn_hpc.models.norm import RUNNING, use_running_statistics
from gtn_hpc.models.precision import PRECISIONS
from gtn_hpc.scores.rows import FinalRow
from gtn_hpc.spaces import Space, make_space
from gtn_hpc.training.memory import peak_memory

Report = Callable[[Winner, int, float], None]
"""Called with the winner, the epochs done and the validation accuracy after the last."""


@dataclass(frozen=True, eq=False)
class Finisher:
    """Trains winners one after another on images that are loaded already.

    `stop` is asked after every epoch: when it says so, a checkpoint is written and `Requeue` raised.
    """

    config: Config
    splits: Splits
    checkpoints: Path
    stop: Callable[[], object] = lambda: False
    report: Report = lambda *_: None

    @cached_property
    def space(self) -> Space:
        return make_space(space_of(self.config), self.splits.shape, self.splits.classes)

    def finish(self, winner: Winner) -> FinalRow:
        """Trains `winner` (going on from its newest checkpoint) and judges its best epoch on the test split, once.

        A training that diverges is a row with status `nan`.
        """
        started = time.perf_counter()
        key = key_of(self.config, winner.arch)
        training = self._trainer(key).begin(self._network(winner, key))
        clock = _Clock(started, before=self._resume(training, key))
        with peak_memory(self.splits.train.images.device) as peak:
            try:
                found = self._train_and_judge(winner, training, key, clock)
            except NonFiniteError as error:
                found = {"status": "nan", "detail": error.what}
        return self._row(winner, training, key, found | {"seconds": clock.seconds, "peak_bytes": peak.bytes})

    def _train_and_judge(self, winner: Winner, training: Training, key: str, clock: "_Clock") -> dict[str, Any]:
        trainer = self._trainer(key)
        trainer.run(
            training, self.splits.train, self.splits.validation, lambda t: self._after_epoch(winner, t, key, clock)
        )
        training.network.load_state_dict(training.best)
        chosen, test = (trainer.judge(training.network, s) for s in (self.splits.validation, self.splits.test))
        return {
            "status": "ok",
            "val_accuracy": chosen.accuracy,
            "val_loss": chosen.loss,
            "test_accuracy": test.accuracy,
            "test_loss": test.loss,
        }

    def _after_epoch(self, winner: Winner, training: Training, key: str, clock: "_Clock") -> None:
        self.report(winner, training.epoch, training.curve[-1])
        stopping = bool(self.stop())
        if stopping or training.epoch % self.config.final.checkpoint_every == 0:
            meta = {"curve": training.curve, "best_epoch": training.best_epoch, "seconds": clock.seconds}
            save(self.checkpoints / key, training.epoch, training.tensors(), meta, keep=2)
        if stopping and training.epoch < self.config.final.epochs:
            raise Requeue(f"Stopped after epoch {training.epoch} of architecture {winner.arch.digest}.")

    def _resume(self, training: Training, key: str) -> float:
        """Seconds spent before this start."""
        loaded = latest(self.checkpoints / key)
        if loaded is None:
            return 0.0
        training.restore(loaded.tensors, list(loaded.meta["curve"]), loaded.meta["best_epoch"])
        return float(loaded.meta["seconds"])

    def _network(self, winner: Winner, key: str) -> Network:
        recipe, device = self.config.final.recipe, self.splits.train.images.device
        network = build_network(
            space_of(self.config),
            winner.arch,
            self.splits.shape,
            self.splits.classes,
            dropout=recipe.dropout,
            drop_path=recipe.drop_path,
            auxiliary=recipe.auxiliary > 0,
        )
        initialise(
            network.to(PRECISIONS[self.config.run.precision].dtype), torch_generator(self.config.run.seed, "final", key)
        )
        use_running_statistics(network, RUNNING)
        return network.to(device)

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


@dataclass(frozen=True)
class _Clock:
    """Seconds of training over all starts of a run."""

    started: float
    before: float

    @property
    def seconds(self) -> float:
        return self.before + time.perf_counter() - self.started
