"""Shows an episode to the two loops of the trajectory engine, and teaches the teacher what comes back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from gtn_hpc.core.records import Batch, Hyper
from gtn_hpc.inner.adjoint import Step
from gtn_hpc.inner.engine import Episode, Passed
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.inner.pullback import pullback

TOGETHER = 8 * 2**20
"""Bytes of the graphs of steps that are shown together. A small generator costs a call, however many images it makes;
for one whose graph of a step is larger nothing changes."""

AGAIN = 256 * 2**20
"""Bytes of the graphs of all batches of an episode that shows them again and again, up to which each is made once."""


@runtime_checkable
class Together(Episode, Protocol):
    """An episode that can show consecutive steps at once, for less than one by one."""

    @property
    def distinct(self) -> int:
        """Batches that differ; the others come again, as the same tensors where their steps are shown at once."""

    def together(self, steps: range) -> Sequence[tuple[Batch, Hyper]]:
        """Each is the step's `batch` and `hyper` up to rounding."""


@dataclass
class Showing:
    """Steps 0 to `end` of an episode in groups of `size`, always the same ones.

    A group is shown without its graph to the forward loop, and with it to the reverse loop; the graph of groups from
    `keep_from` on is kept in between. `passed` is told when the gradient of a group is in.
    """

    episode: Episode
    teacher: Tensors
    end: int
    size: int = 1
    keep_from: int = 2**62
    grad_from: int = 2**62
    passed: Passed | None = None
    shown: dict[int, Step] = field(default_factory=dict, repr=False)
    graphs: dict[int, list[Step]] = field(default_factory=dict, repr=False)
    arrived: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.gradient: Tensors = {k: torch.zeros_like(v) for k, v in self.teacher.items()}

    def forward(self, t: int) -> Step:
        """Step t without its graph; from `grad_from` on its tensors require grad where they depend on the teacher."""
        if t not in self.shown:
            group = self._group(t)
            keeps = group.start >= self.keep_from
            with torch.set_grad_enabled(keeps or group.stop > self.grad_from):
                steps = show(self.episode, group)
            self.shown = {step.t: step.detached(leaves=step.t >= self.grad_from) for step in steps}
            if keeps:
                self.graphs[group.start] = steps
        return self.shown[t]

    def backward(self, t: int) -> Step:
        """Step t with its graph."""
        self.shown = {}
        group = self._group(t)
        if group.start not in self.graphs:
            self.graphs[group.start] = show(self.episode, group)
        return self.graphs[group.start][t - group.start]

    def teach(self, step: Step, cotangents: Sequence[Tensor | None], *, last: bool) -> None:
        """Adds what the step's x, y, rate and momentum got to the teacher's gradient, once its group is through."""
        for value, cotangent in zip(step.inputs(), cotangents, strict=True):
            if cotangent is not None:
                known = self.arrived.get(id(value))
                self.arrived[id(value)] = (value, cotangent if known is None else known[1] + cotangent)
        group = self._group(step.t)
        if step.t > group.start and not last:
            return
        arrived, self.arrived = list(self.arrived.values()), {}
        del self.graphs[group.start]
        if arrived:
            self._add(arrived)
        if self.passed is not None:
            self.passed(self.episode.steps - step.t, self.gradient)

    def _add(self, arrived: Sequence[tuple[Tensor, Tensor]]) -> None:
        outputs, given = zip(*arrived, strict=True)
        found = pullback(outputs, list(self.teacher.values()), given)
        for total, part in zip(self.gradient.values(), found, strict=True):
            if part is not None:
                total.add_(part)

    def _group(self, t: int) -> range:
        start = t - t % self.size
        return range(start, min(start + self.size, self.end))


def show(episode: Episode, steps: range) -> list[Step]:
    """Consecutive steps of `episode`, at once where it can; with their graph to the teacher if grad is enabled."""
    if len(steps) > 1 and isinstance(episode, Together):
        return [Step(t, *shown) for t, shown in zip(steps, episode.together(steps), strict=True)]
    return [Step(t, episode.batch(t), episode.hyper(t)) for t in steps]


def group_size(episode: Episode, bytes_of_step: int) -> int:
    """Steps to show together, given the bytes of the graph of one; all where that makes each of few batches once."""
    if not isinstance(episode, Together):
        return 1
    if episode.distinct < episode.steps and episode.distinct * bytes_of_step <= AGAIN:
        return episode.steps
    return max(1, TOGETHER // max(bytes_of_step, 1))
