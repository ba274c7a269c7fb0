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


class OnDevice(States):
    """Every state where it was made: theta + buffers + optimiser state a step."""

    def __init__(self) -> None:
        self.kept: dict[int, FlatState] = {}

    def put(self, t: int, state: FlatState) -> None:
        self.kept[t] = state

    def take(self, t: int) -> FlatState:
        return self.kept.pop(t)


class OnHost(OnDevice):
    """Every state in the host's memory, pinned where the device is a GPU; nothing grows on the device."""

    def put(self, t: int, state: FlatState) -> None:
        self.device = state.theta.device
        super().put(t, _each(state, self._to_host))

    def take(self, t: int) -> FlatState:
        return _each(super().take(t), lambda v: v.to(self.device, non_blocking=True))

    def _to_host(self, value: Tensor) -> Tensor:
        host = torch.empty(value.shape, dtype=value.dtype, pin_memory=value.is_cuda)
        return host.copy_(value)


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
    return OnHost() if offload == "host" else OnDevice()


def _each(state: FlatState, move: Callable[[Tensor], Tensor]) -> FlatState:
    return FlatState(
        move(state.theta),
        {k: move(v) for k, v in state.buffers.items()},
        {k: move(v) for k, v in state.optimiser.items()},
    )
