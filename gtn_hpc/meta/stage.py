"""`gtn train`: from a configuration to a curriculum file, resuming what was begun."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from gtn_hpc import checkpoint
from gtn_hpc.checkpoint import StopFlag
from gtn_hpc.cluster.communicator import Communicator
from gtn_hpc.cluster.connect import Connection
from gtn_hpc.config import Config, dump
from gtn_hpc.config.claim import claim
from gtn_hpc.core.errors import GtnError, Requeue, StorageError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.curriculum import file
from gtn_hpc.curriculum.frozen import Frozen, freeze
from gtn_hpc.inner.build import make_engine
from gtn_hpc.meta.evaluation import Evaluation, evaluate_teacher, final_accuracies
from gtn_hpc.meta.events import Evaluated, Event, Noted, Observer, Resumed
from gtn_hpc.meta.export import export, read_evaluation
from gtn_hpc.meta.loop import Loop
from gtn_hpc.meta.outer import Outer
from gtn_hpc.meta.record import EventRecorder, TensorBoard
from gtn_hpc.meta.setup import Classroom, prepare

Result = TypeVar("Result")

JUDGING = 24 * 3600.0
"""Seconds that the other ranks wait while the first one judges the teacher."""


@dataclass(frozen=True, eq=False)
class Taught:
    """What `train` leaves: the run, its curriculum and, on rank 0, how good that is."""

    run: RunDirectory
    frozen: Frozen
    evaluation: Evaluation | None


def train(config: Config, connection: Connection, observers: Sequence[Observer] = ()) -> Taught:
    """Meta-trains to the end from the newest whole checkpoint, evaluates, and writes the run's curriculum.h5.

    Raises:
        Requeue: a signal asked to stop; everything is saved and `state.json` says wants_requeue.
    """
    torch.set_num_threads(config.run.threads)
    communicator = connection.communicator
    run = first_does(communicator, lambda: claim(config, "train"))
    room = prepare(config, connection.device)
    outer = Outer(room.teacher, config.meta)
    watching = [*observers, *_recorders(run, room)] if communicator.rank == 0 else []
    session = Session(run, room, outer, communicator, watching)
    with StopFlag() as stop:
        done = session.teach(stop)
    if done < config.meta.iterations:
        communicator.barrier("the last checkpoint")
        raise Requeue(
            f"Stopped by {stop.reason or 'another rank'} after {done} of {config.meta.iterations} meta-iterations.",
            remedy="Start the same command again: it goes on from there.",
        )
    return session.finish()


@dataclass(frozen=True, eq=False)
class Session:
    """One start of a run."""

    run: RunDirectory
    room: Classroom
    outer: Outer
    communicator: Communicator
    observers: Sequence[Observer]

    def teach(self, stop: StopFlag) -> int:
        """Runs the loop from the last checkpoint; returns the meta-iterations done."""
        config = self.room.config
        start = self._resume()

        def between(done: int) -> bool:
            stopping = self.communicator.any(bool(stop))
            every = config.evaluate.every
            if every and done % every == 0:
                self._evaluate(done)
            if stopping or done % config.meta.checkpoint_every == 0 or done == config.meta.iterations:
                self._save(done, wants_requeue=stopping and done < config.meta.iterations)
            return stopping

        engine = make_engine(config.engine)
        return Loop(self.room, engine, self.outer, self.communicator, self.observe, between).run(start)

    def finish(self) -> Taught:
        """Freezes the teacher and, on rank 0, sees to the curriculum file and what fresh learners make of it."""
        frozen, evaluation = self.frozen(), None
        if self.communicator.rank == 0:
            evaluation = self._judged_before(frozen) or self._judge(frozen)
            accuracy = float(evaluation.teacher[:, -1].mean())
            self.run.update_state("train", status="done", iteration=self.room.config.meta.iterations, accuracy=accuracy)
        self.communicator.barrier("curriculum written", timeout=JUDGING)
        return Taught(self.run, frozen, evaluation)

    def _judge(self, frozen: Frozen) -> Evaluation:
        """Evaluates fresh learners and writes the curriculum file."""
        config, section = self.room.config, self.room.config.evaluate
        self.observe(Noted(f"judging the teacher by {section.learners} fresh learners"))
        evaluation = evaluate_teacher(
            config, frozen, self.room.splits, learners=section.learners, real_data=section.real_data.enabled
        )
        export(self.run.curriculum, config, self.room.splits, frozen, evaluation)
        return evaluation

    def _judged_before(self, frozen: Frozen) -> Evaluation | None:
        """What an earlier start wrote of just this curriculum."""
        try:
            if file.read(self.run.curriculum).digest == frozen.digest():
                return read_evaluation(self.run.curriculum)
        except StorageError:
            pass
        return None

    def frozen(self) -> Frozen:
        return freeze(self.room.teacher, torch_generator(self.room.config.run.seed, "export"))

    def observe(self, event: Event) -> None:
        for observer in self.observers:
            observer(event)

    def _resume(self) -> int:
        found = checkpoint.latest(self.run.checkpoints, lambda message: self.observe(Noted(message)))
        if found is None:
            return 0
        self.outer.restore(dict(found.tensors))
        self.observe(Resumed(found.step))
        return found.step

    def _save(self, done: int, *, wants_requeue: bool) -> None:
        if self.communicator.rank == 0:
            config = self.room.config
            meta = {"config": dump(config), "iteration": done}
            checkpoint.save(self.run.checkpoints, done, self.outer.state(), meta, config.meta.keep)
            self.run.update_state("train", wants_requeue=wants_requeue, status="running", iteration=done)

    def _evaluate(self, done: int) -> None:
        if self.communicator.rank == 0:
            config = self.room.config
            found = final_accuracies(config, self.frozen(), self.room.splits, learners=config.evaluate.during)
            self.observe(Evaluated(done, float(np.mean(found)), float(np.std(found, ddof=1)), len(found)))


def first_does(communicator: Communicator, action: Callable[[], Result]) -> Result:
    """Rank 0 acts and all get its result, or its error."""
    told: list[Result | GtnError | None] = [None]
    if communicator.rank == 0:
        try:
            told = [action()]
        except GtnError as error:
            told = [error]
    outcome = communicator.all_gather(told[0])[0]
    if isinstance(outcome, GtnError):
        raise outcome
    return outcome  # type: ignore[return-value]


def _recorders(run: RunDirectory, room: Classroom) -> list[Observer]:
    return [EventRecorder(run.events, room.config.meta.log_every), TensorBoard(run.tensorboard, room)]
