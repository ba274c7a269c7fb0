"""A curriculum as plain tensors: what a file holds and what learners are trained on after meta-training."""

import hashlib

import torch
from torch import Tensor

from gtn_hpc.config.curriculum import digest_head
from gtn_hpc.core.records import Batch
from gtn_hpc.curriculum.base import Curriculum, Order, Show
from gtn_hpc.curriculum.schedule import FixedSchedule


class Frozen(Curriculum):
    """Images x [T, B, C, H, W], probabilities y [T, B, K], rate lr [T] and momentum [T]; nothing is learned.

    A shuffled order draws on the first `cycle` batches, of which the others are repeats; a fixed one shows all T.
    """

    x: Tensor
    y: Tensor

    def __init__(
        self, x: Tensor, y: Tensor, lr: Tensor, momentum: Tensor, order: Order, cycle: int | None = None
    ) -> None:
        cycle = None if order == "fixed" else cycle
        super().__init__(FixedSchedule(lr, momentum), x.shape[0], x.shape[1], order, cycle)
        self.register_buffer("x", x)
        self.register_buffer("y", y)

    def plan(self, generator: torch.Generator) -> Show:
        if self.order == "fixed":
            return lambda steps: [Batch(self.x[t], self.y[t]) for t in steps]
        index = self.index(generator, self.x.device)
        x, y = self.x.flatten(0, 1), self.y.flatten(0, 1)
        return self.shown(index, lambda rows: [Batch(x[row], y[row]) for row in rows])

    def showing(self, x: Tensor) -> "Frozen":
        """The same with other images."""
        return Frozen(x, self.y, *self.schedule.table(), self.order, self.cycle)

    def repeated(self, passes: int) -> "Frozen":
        """The whole of it `passes` times, one after another."""
        lr, momentum = (values.repeat(passes) for values in self.schedule.table())
        x, y = self.x.repeat(passes, 1, 1, 1, 1), self.y.repeat(passes, 1, 1)
        return Frozen(x, y, lr, momentum, self.order, self.cycle)

    def digest(self) -> str:
        """SHA-256 (hex) of order, a cycle that is not the whole, shapes and float32 values."""
        lr, momentum = self.schedule.table()
        found = hashlib.sha256(digest_head(self.order, self.cycle, self.x.shape, self.y.shape))
        for tensor in (self.x, self.y, lr, momentum):
            found.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
        return found.hexdigest()


@torch.no_grad()
def freeze(curriculum: Curriculum, generator: torch.Generator) -> Frozen:
    """The curriculum's images as they stand now; arms that draw fresh ones give a pool of one pass from `generator`."""
    order, curriculum.order = curriculum.order, "fixed"
    try:
        episode = curriculum.episode(generator)
        batches = [episode.batch(t) for t in range(episode.steps)]
    finally:
        curriculum.order = order
    lr, momentum = curriculum.schedule.table()
    x, y = torch.stack([b.x for b in batches]), torch.stack([b.y for b in batches])
    rates = lr.detach().clone(), momentum.detach().clone()
    return Frozen(x.detach(), y.detach(), *rates, order, curriculum.cycle)
