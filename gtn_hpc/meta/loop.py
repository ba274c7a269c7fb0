"""The outer loop (paper section 3, figure 1): teach fresh learners, differentiate through their training, improve."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from gtn_hpc.cluster.communicator import Communicator
from gtn_hpc.cluster.reduction import REDUCTIONS, ByStep, has_norm
from gtn_hpc.core.streams import derive
from gtn_hpc.inner.engine import Engine
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.meta.events import Iterated, Observer, Refused, Suspect, WentBack
from gtn_hpc.meta.outer import Outer
from gtn_hpc.meta.place import Place
from gtn_hpc.meta.replica import drawn, stream
from gtn_hpc.meta.resuming import Checkpoints
from gtn_hpc.meta.room import AnyRoom
from gtn_hpc.meta.setup import make_task

LOSS, STOP = "the real loss", "the wish to stop"
"""What is averaged beside the gradient's tensors. A NaN anywhere is a NaN in the mean, which all ranks have alike: so
one exchange tells all ranks whether to update and whether to stop."""


@dataclass(frozen=True, eq=False)
class Loop:
    """What a meta-iteration needs; `stop` says whether this rank wishes to end; `between` is called after each with
    where training stands, and whether any rank wishes to."""

    room: AnyRoom
    engine: Engine
    outer: Outer
    communicator: Communicator
    checkpoints: Checkpoints
    observe: Observer
    stop: Callable[[], object]
    between: Callable[[Place, bool], None]

    def run(self, place: Place) -> Place:
        """Meta-iterations from `place` to the end, or until a rank wishes to stop; returns where training stands then.

        Raises:
            NonFiniteError: training diverged, and has gone back to a checkpoint `meta.max_returns` times already.
        """
        while place.done < self.room.config.meta.iterations:
            began = time.perf_counter()
            mean = self._mean_gradient(place)
            if has_norm(mean.gradient.values()):
                norm = self.outer.step(mean.gradient, place.done)
                self.observe(self._iterated(place.done, mean.loss, norm, time.perf_counter() - began))
                place = place.updated()
            else:
                place = self._refuse(place, mean.suspects)
            stopping = mean.stopping or (self.communicator.world == 1 and bool(self.stop()))
            self.between(place, stopping)
            if stopping:
                break
        return place

    def _mean_gradient(self, place: Place) -> "_Mean":
        """Mean over all replicas of all ranks of last real loss and meta-gradient, and whether a rank would stop."""
        teacher: Tensors = dict(self.room.teacher.named_parameters())
        meta, suspects = self.room.config.meta, []
        nothing = torch.zeros((), dtype=self.room.dtype, device=self.room.device)
        by_step = ByStep(self.room.teacher.by_step(), self.room.teacher.steps)
        like = {LOSS: nothing, STOP: nothing, **teacher}
        reduction = REDUCTIONS[meta.reduction](self.communicator, like, meta.replicas, by_step)
        for replica in self.communicator.replicas(meta.replicas):
            task = make_task(self.room, place.done, replica, place.generation)
            found = self.engine(replace(task, passed=reduction.passed), teacher)
            gradient = {**found.gradient, **task.beside}
            reduction.add({LOSS: nothing + found.loss, STOP: nothing + bool(self.stop()), **gradient})
            if not has_norm(gradient.values()):
                suspects.append(self._suspect(place, replica))
        mean = reduction.mean()
        loss, stopping = float(mean.pop(LOSS)), float(mean.pop(STOP)) > 0
        if meta.replicas < self.communicator.world:  # a rank without a replica has added nothing
            stopping = self.communicator.any(stopping or bool(self.stop()))
        return _Mean(loss, mean, stopping, suspects)

    def _refuse(self, place: Place, suspects: Sequence[Suspect]) -> Place:
        """Nobody updates; all ranks tell whose gradient it was, and after too many in a row all go back."""
        told = [suspect for rank in self.communicator.all_gather(suspects) for suspect in rank]
        kept = self.checkpoints.keep_refused(place, told)
        after = place.refusing()
        self.observe(Refused(place.done, place.generation, after.refused, tuple(told), str(kept)))
        if after.refused < self.room.config.meta.max_refused:
            return after
        back = self.checkpoints.go_back(after)
        self.observe(WentBack(back.done, back.generation))
        return back

    def _suspect(self, place: Place, replica: int) -> Suspect:
        config = self.room.config
        name = stream("learner", place.generation)
        spec = drawn(config, name, place.done, replica)
        seed = derive(config.run.seed, f"{name}/parameters", place.done, replica)
        return Suspect(self.communicator.rank, replica, spec.section.family, spec.widths, seed)

    def _iterated(self, iteration: int, loss: float, norm: float, seconds: float) -> Iterated:
        config = self.room.config
        return Iterated(
            iteration=iteration,
            iterations=config.meta.iterations,
            loss=loss,
            gradient_norm=norm,
            lr=self.outer.lr(iteration),
            steps=config.teacher.curriculum.steps,
            seconds=seconds,
            ranks=self.communicator.world,
        )


@dataclass(frozen=True, eq=False)
class _Mean:
    loss: float
    gradient: Tensors
    stopping: bool
    suspects: list[Suspect]
