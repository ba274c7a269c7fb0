"""Where the trajectory is kept between the forward and the reverse loop."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import isqrt

import torch
from torch import Tensor

from gtn_hpc.inner.flat import FlatState

Advance = Callable[[int, FlatState], FlatState]
"""Takes step t from a state again; bit for bit what the forward loop did."""


class States(ABC):
    """The states of the steps to differentiate: put in rising order of t, taken (and forgotten) in falling order."""

    @abstractmethod
    def put(self, t: int, state: FlatState) -> None: ...

    @abstractmethod
    def take(self, t: int) -> FlatState: ...


class Stacked(States):
    """Every state, on the device or in the host's memory (pinned where the device is a GPU).

    Allocated at once: states among the freed temporaries of a step would keep the allocator from using those again.
    """

    def __init__(self, steps: int, *, on_host: bool = False) -> None:
        self.steps, self.on_host = steps, on_host
        self.stacks: list[Tensor] = []

    def put(self, t: int, state: FlatState) -> None:
        if not self.stacks:
            self.first, self.example = t, state
            self.stacks = [self._empty(value) for value in state.tensors()]
        for stack, value in zip(self.stacks, state.tensors(), strict=True):
            stack[t - self.first].copy_(value, non_blocking=True)

    def take(self, t: int) -> FlatState:
        device = self.example.theta.device
        return self.example.filled([stack[t - self.first].to(device, non_blocking=True) for stack in self.stacks])

    def _empty(self, value: Tensor) -> Tensor:
        device = "cpu" if self.on_host else value.device
        pinned = self.on_host and value.is_cuda
        return torch.empty((self.steps, *value.shape), dtype=value.dtype, device=device, pin_memory=pinned)


class Recomputed(States):
    """Every k-th state, k = ceil(sqrt(steps)); the others are made again, one run of k at a time.

    2 sqrt(T) states instead of T, for T further forward steps (Griewank and Walther 2000 with one level).
    """

    def __init__(self, steps: int, advance: Advance) -> None:
        self.every, self.advance = max(1, isqrt(steps - 1) + 1), advance
        self.kept: dict[int, FlatState] = {}
        self.run: dict[int, FlatState] = {}

    def put(self, t: int, state: FlatState) -> None:
        if not self.kept or t - max(self.kept) >= self.every:
            self.kept[t] = state

    def take(self, t: int) -> FlatState:
        if t not in self.run:
            first = max(self.kept)
            self.run = {first: self.kept.pop(first)}
            for step in range(first, t):
                self.run[step + 1] = self.advance(step, self.run[step])
        return self.run.pop(t)


def make_states(offload: str, steps: int, advance: Advance) -> States:
    """By `engine.offload`: no, host or recompute."""
    if offload == "recompute":
        return Recomputed(steps, advance)
    return Stacked(steps, on_host=offload == "host")
