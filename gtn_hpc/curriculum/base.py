"""What a teacher is: a module that gives out episodes.

Shapes: T steps, B images a step, Z latent size, K classes; N = T B images in all, or C B where C batches are shown in
turn and again (a cycle: few images for each class, many steps).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from gtn_hpc.core.records import Batch, Hyper
from gtn_hpc.curriculum.schedule import Schedule

Show = Callable[[range], Sequence[Batch]]
"""The batches of some consecutive steps."""

Order = Literal["fixed", "batches", "all"]
"""How a pass goes through the images: as they stand, batches shuffled, or images shuffled over all batches."""


@dataclass(frozen=True)
class Episode:
    """One pass: `batch(t)` and `hyper(t)` depend on t and the teacher's parameters alone, and can be computed again."""

    steps: int
    show: Show
    schedule: Schedule
    distinct: int
    """Batches that differ; the others are the same tensors when they are shown together."""

    def batch(self, t: int) -> Batch:
        return self.show(range(t, t + 1))[0]

    def hyper(self, t: int) -> Hyper:
        return self.schedule(t)

    def together(self, steps: range) -> list[tuple[Batch, Hyper]]:
        """Several consecutive steps, made at once: each is its `batch` and `hyper` up to rounding."""
        return list(zip(self.show(steps), self.schedule.several(steps), strict=True))


class Curriculum(nn.Module, ABC):
    """A teacher; its parameters are what meta-training learns. `cycle` is the number of batches that differ (T)."""

    def __init__(self, schedule: Schedule, steps: int, batch: int, order: Order, cycle: int | None = None) -> None:
        super().__init__()
        self.schedule, self.steps, self.batch, self.order = schedule, steps, batch, order
        self.cycle = steps if cycle is None else cycle

    def episode(self, generator: torch.Generator) -> Episode:
        """One pass with fresh randomness."""
        return Episode(self.steps, self.plan(generator), self.schedule, self.distinct)

    @property
    def distinct(self) -> int:
        """Batches of a pass that differ."""
        return self.steps if self.order == "all" else self.cycle

    def by_step(self) -> set[str]:
        """Names of the parameters of which step t of every episode uses the t-th of T equal parts, and no other."""
        pool = ("latents", "pixels", "labels.") if self.order == "fixed" and self.cycle == self.steps else ()
        rows = {name: len(parameter) for name, parameter in self.named_parameters() if parameter.dim()}
        own = {name for name, count in rows.items() if name.startswith("schedule.") and count == self.steps}
        return own | {name for name in rows if name.startswith(pool)}

    @abstractmethod
    def plan(self, generator: torch.Generator) -> Show:
        """Draws all that is random in a pass; the function that it returns shows some of its steps."""

    def index(self, generator: torch.Generator, device: torch.device) -> Tensor:
        """Which image [T, B] of the pool of N each step shows; each cycle is shuffled anew, where the order says so."""
        cycles = [self._one_cycle(generator) for _ in range(0, self.steps, self.cycle)]
        return torch.cat(cycles)[: self.steps].to(device)

    def shown(self, index: Tensor, make: Callable[[Tensor], list[Batch]]) -> Show:
        """Shows what `make` makes of rows of `index` [T, B]; a row that comes again in some steps is the same batch."""
        return lambda steps: self._made_once(index[steps.start : steps.stop], make)

    def _made_once(self, index: Tensor, make: Callable[[Tensor], list[Batch]]) -> list[Batch]:
        if self.distinct == self.steps or len(index) == 1:
            return make(index)
        rows, which = index.unique(dim=0, return_inverse=True)
        batches = make(rows)
        return [batches[row] for row in which.tolist()]

    def _one_cycle(self, generator: torch.Generator) -> Tensor:
        images = self.cycle * self.batch
        index = torch.randperm(images, generator=generator) if self.order == "all" else torch.arange(images)
        index = index.reshape(self.cycle, self.batch)
        return index[torch.randperm(self.cycle, generator=generator)] if self.order == "batches" else index
