"""The outer loop (paper section 3, figure 1): teach fresh learners, differentiate through their training, improve."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from gtn_hpc.cluster.communicator import Communicator
from gtn_hpc.cluster.reduction import REDUCTIONS
from gtn_hpc.core.errors import NonFiniteError
from gtn_hpc.inner.engine import Engine
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.meta.events import Iterated, Observer, Refused
from gtn_hpc.meta.outer import Outer
from gtn_hpc.meta.setup import Classroom, length, make_task


@dataclass(frozen=True, eq=False)
class Loop:
    """What a meta-iteration needs; `between` is called after each with the number done, and ends training if true."""

    room: Classroom
    engine: Engine
    outer: Outer
    communicator: Communicator
    observe: Observer
    between: Callable[[int], bool]

    def run(self, start: int) -> int:
        """Meta-iterations from `start` to the end, or until `between` says stop; returns the number done.

        Raises:
            NonFiniteError: `meta.max_refused` iterations in a row had a gradient that is not finite.
        """
        refused, total = 0, self.room.config.meta.iterations
        for iteration in range(start, total):
            began = time.perf_counter()
            loss, gradient = self._mean_gradient(iteration)
            if self._finite(gradient):
                norm = self.outer.step(gradient, iteration)
                self.observe(self._iterated(iteration, loss, norm, time.perf_counter() - began))
                refused = 0
            else:
                refused += 1
                self._refuse(iteration, refused)
            if self.between(iteration + 1):
                return iteration + 1
        return total

    def _mean_gradient(self, iteration: int) -> tuple[float, Tensors]:
        """Mean over all replicas of all ranks of the last real loss and of the meta-gradient."""
        teacher: Tensors = dict(self.room.teacher.named_parameters())
        meta = self.room.config.meta
        no_loss = torch.zeros((), dtype=self.room.dtype, device=self.room.device)
        reduction = REDUCTIONS[meta.reduction](self.communicator, [no_loss, *teacher.values()], meta.replicas)
        for replica in self.communicator.replicas(meta.replicas):
            found = self.engine(make_task(self.room, iteration, replica), teacher)
            reduction.add([no_loss + found.loss, *(found.gradient[name] for name in teacher)])
        loss, *mean = reduction.mean()
        return float(loss), dict(zip(teacher, mean, strict=True))

    def _finite(self, gradient: Tensors) -> bool:
        try:
            self.communicator.require_finite(gradient)
        except NonFiniteError:
            return False
        return True

    def _refuse(self, iteration: int, in_a_row: int) -> None:
        meta = self.room.config.meta
        self.observe(Refused(iteration, tuple(range(meta.replicas))))
        if in_a_row >= meta.max_refused:
            raise NonFiniteError(
                f"The meta-gradient was not finite in {in_a_row} meta-iterations in a row, the last {iteration}.",
                remedy="Lower inner.lr or meta.lr, set meta.clip, or look with gtn check-grad CONFIG.",
            )

    def _iterated(self, iteration: int, loss: float, norm: float, seconds: float) -> Iterated:
        config = self.room.config
        return Iterated(
            iteration=iteration,
            iterations=config.meta.iterations,
            loss=loss,
            gradient_norm=norm,
            lr=self.outer.lr(iteration),
            steps=length(config, iteration),
            seconds=seconds,
        )
