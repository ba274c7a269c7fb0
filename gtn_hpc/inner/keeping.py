"""What the trajectory engine keeps beside the states, within a budget of memory."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


@dataclass(frozen=True)
class Keep:
    """The generator's graph of the last `generator` steps, and the adjoint's tape of the last `tapes` steps."""

    generator: int = 0
    tapes: int = 0

    def __str__(self) -> str:
        if not self.generator and not self.tapes:
            return "the states alone"
        return f"the states, the generator's graph of {self.generator} steps and tapes of {self.tapes} steps"


@dataclass(frozen=True)
class StepBytes:
    """What one step adds: its state, the generator's graph, the adjoint's tape (None if it leaves none)."""

    state: int
    generator: int
    tape: int | None


EVERYTHING = Keep(generator=2**31, tapes=2**31)
GENERATOR = Keep(generator=2**31)
NOTHING = Keep()


def within(budget: int, steps: int, cost: StepBytes) -> Keep:
    """What `budget` bytes hold after the states: generator graphs first, which save most time a byte, then tapes."""
    left = budget - steps * cost.state
    generator = min(steps, max(left, 0) // max(cost.generator, 1))
    left -= generator * cost.generator
    tapes = 0 if cost.tape is None else min(steps, max(left, 0) // max(cost.tape, 1))
    return Keep(generator, tapes)


def bytes_kept(make: Callable[[], Any], known: Iterable[Tensor]) -> int:
    """Bytes of the storages that stay alive with what `make` returns and its graph, without those of `known`."""
    sizes: dict[int, int] = {}

    def count(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(count, lambda value: value):
        made = make()
    for value in pytree.tree_leaves(made):
        if isinstance(value, Tensor):
            count(value)
    for value in known:
        sizes.pop(value.untyped_storage().data_ptr(), None)
    return sum(sizes.values())
