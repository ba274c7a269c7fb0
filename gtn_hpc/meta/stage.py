"""`gtn train`: from a configuration to a curriculum file, resuming what was begun."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch

from gtn_hpc.checkpoint import StopFlag
from gtn_hpc.cluster.communicator import Communicator
from gtn_hpc.cluster.connect import Connection
from gtn_hpc.cluster.deadline import deadline_of
from gtn_hpc.config import Config
from gtn_hpc.core.errors import NonFiniteError, Requeue, StorageError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.core.status import status_told
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.curriculum import file
from gtn_hpc.curriculum.frozen import Frozen, freeze
from gtn_hpc.inner.build import make_engine
from gtn_hpc.meta.choices import choices_told
from gtn_hpc.meta.events import Event, Judging, Noted, Observer, Resumed
from gtn_hpc.meta.holding import held
from gtn_hpc.meta.loop import Loop
from gtn_hpc.meta.outer import Outer
from gtn_hpc.meta.place import Place
from gtn_hpc.meta.record import EventRecorder, RankRecorder, TensorBoard
from gtn_hpc.meta.resuming import Checkpoints
from gtn_hpc.meta.room import AnyRoom, Judgement
from gtn_hpc.meta.setup import prepare

JUDGING = 24 * 3600.0
"""Seconds that the other ranks wait while the first one judges the teacher."""


@dataclass(frozen=True, eq=False)
class Taught:
    """What `train` leaves: the run, its curriculum and, on rank 0, how good that is."""

    run: RunDirectory
    frozen: Frozen
    evaluation: Judgement | None


def train(config: Config, connection: Connection, observers: Sequence[Observer] = ()) -> Taught:
    """Meta-trains to the end from the newest whole checkpoint, evaluates, and writes the run's curriculum.h5.

    Raises:
        RunError: the run belongs to another configuration, or another process trains in it.
        Requeue: a signal or the deadline asked to stop; everything is saved and `state.json` says wants_requeue.
    """
    torch.set_num_threads(config.run.threads)
    communicator = connection.communicator
    deadline, own = deadline_of(config.run, os.environ), list[RunDirectory]()

    def announce() -> None:
        """At once: a meta-iteration may take longer than a launcher waits for it."""
        for run in own if communicator.rank == 0 else ():
            run.update_state("train", wants_requeue=True)

    end = None if deadline is None else deadline.end
    with (
        StopFlag(deadline=end, then=announce) as stop,
        held(config, communicator) as run,
        status_told(run, "train") if communicator.rank == 0 else nullcontext(),
    ):
        own.append(run)
        room = prepare(config, connection.device)
        outer = Outer(room.teacher, config.meta)
        with _recorders(run, room, communicator.rank) as recorders:
            session = Session(run, room, outer, communicator, [*observers, *recorders])
            done = session.teach(stop)
            if done == config.meta.iterations:
                return session.finish(stop)
            communicator.barrier("the last checkpoint")
            raise Requeue(
                f"Stopped by {stop.reason or 'another rank'} after {done} of {config.meta.iterations} meta-iterations.",
                remedy="Start the same command again: it goes on from there.",
            )


@dataclass(frozen=True, eq=False)
class Session:
    """One start of a run."""

    run: RunDirectory
    room: AnyRoom
    outer: Outer
    communicator: Communicator
    observers: Sequence[Observer]

    def teach(self, stop: StopFlag) -> int:
        """Runs the loop from the last checkpoint; returns the meta-iterations done, all of them saved."""
        config, communicator = self.room.config, self.communicator
        checkpoints = Checkpoints(config, self.run, self.outer, communicator, lambda text: self.observe(Noted(text)))
        start = checkpoints.resume(self.room.begin)
        if start.done:
            self.observe(Resumed(start.done))

        def between(place: Place, stopping: bool) -> None:
            over = place.done == config.meta.iterations
            if over or place.done % config.meta.compare_every == 0:
                communicator.require_equal(self.outer.named(), f"by meta-iteration {place.done}")
            if communicator.rank == 0 and (stopping or over or checkpoints.due(place)):
                checkpoints.save(place, wants_requeue=stopping and not over)
            if not stopping:
                self._evaluate(place.done, stop)

        engine = make_engine(config.engine)
        loop = Loop(self.room, engine, self.outer, communicator, checkpoints, self.observe, lambda: bool(stop), between)
        try:
            with choices_told(self.observe):
                end = loop.run(start)
        finally:
            checkpoints.wait()  # also after Ctrl-C: what is being written becomes whole
        return end.done

    def finish(self, stop: StopFlag) -> Taught:
        """Freezes the teacher and, on rank 0, sees to the curriculum file and what fresh learners make of it.

        Raises:
            Requeue: a signal came meanwhile; judging begins anew in the next start.
            NonFiniteError: all meta-iterations were refused.
        """
        if not self.outer.updated:
            raise NonFiniteError(
                "No meta-iteration gave a finite meta-gradient: the teacher is what it was at the start.",
                remedy="Lower inner.lr or meta.lr, set meta.clip, or look with gtn check-grad --replay.",
            )
        frozen, evaluation = self.frozen(), None
        try:
            with stop.at_once():
                if self.communicator.rank == 0:
                    evaluation = self._judged_before(frozen) or self._judge(frozen)
                self.communicator.barrier("curriculum written", timeout=JUDGING)
        except Requeue:
            if self.communicator.rank == 0:
                self.run.update_state("train", wants_requeue=True)
            raise
        if evaluation is not None:
            iterations = self.room.config.meta.iterations
            self.run.update_state("train", wants_requeue=False, iteration=iterations, **evaluation.summary)
        return Taught(self.run, frozen, evaluation)

    def _judge(self, frozen: Frozen) -> Judgement:
        """Evaluates fresh learners and writes the curriculum file."""
        self.observe(Noted(f"judging the teacher by {self.room.config.evaluate.learners} fresh learners"))
        found: Judgement = self.room.evaluate(frozen, lambda done, total: self.observe(Judging(done, total)))
        self.room.export(self.run.curriculum, frozen, found)
        return found

    def _judged_before(self, frozen: Frozen) -> Judgement | None:
        """What an earlier start wrote of just this curriculum."""
        try:
            if file.read(self.run.curriculum).digest == frozen.digest():
                return self.room.read(self.run.curriculum)
        except StorageError:
            pass
        return None

    def frozen(self) -> Frozen:
        return freeze(self.outer.result, torch_generator(self.room.config.run.seed, "export"))

    def observe(self, event: Event) -> None:
        for observer in self.observers:
            observer(event)

    def _evaluate(self, done: int, stop: StopFlag) -> None:
        """By rank 0; the others wait for it longer than for a sum."""
        every = self.room.config.evaluate.every
        if not every or done % every:
            return
        if self.communicator.rank == 0 and not stop:
            self.observe(self.room.progress(self.frozen(), done))
        self.communicator.barrier("an evaluation", timeout=JUDGING)


@contextmanager
def _recorders(run: RunDirectory, room: AnyRoom, rank: int) -> Iterator[list[Observer]]:
    """The first rank records everything, the others what concerns them all."""
    if rank:
        yield [RankRecorder(run.events, rank)]
        return
    board = TensorBoard(run.tensorboard, room)
    try:
        yield [EventRecorder(run.training_events, room.config.meta.log_every), board]
    except KeyboardInterrupt:
        raise  # its thread may wait for ever for what was interrupted, and closing waits for it
    except BaseException:
        board.close()
        raise
    board.close()
