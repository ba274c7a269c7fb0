"""Programs as CUDA graphs: a small step is otherwise the time to launch its operations."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from gtn_hpc.inner.record import Program

Made = TypeVar("Made")

WARM_UP = 2
"""Calls before the capture: libraries choose and allocate in their first calls, which a graph may not hold."""


def beside(work: Callable[[], Made]) -> Made:
    """What `work` makes on another stream, as captures want it of what runs before them."""
    side, main = torch.cuda.Stream(), torch.cuda.current_stream()
    side.wait_stream(main)
    with torch.cuda.stream(side):
        made = work()
    main.wait_stream(side)
    return made


class Graphed:
    """`program` (without random numbers, for one shape) captured at its third call, and replayed from then on.

    Inputs are copied to the graph's own memory and results from it: two copies of the learner's state a call.
    """

    def __init__(self, program: Program) -> None:
        self._program, self._calls = program, 0
        self._given: list[Tensor] = []
        self._made: Sequence[Tensor | None] = ()

    def __call__(self, *values: Tensor) -> Sequence[Tensor | None]:
        self._calls += 1
        if self._calls <= WARM_UP:
            return beside(lambda: self._program(*values))
        if self._calls == WARM_UP + 1:
            self._capture(values)
        for place, value in zip(self._given, values, strict=True):
            place.copy_(value)
        self._graph.replay()
        return [None if made is None else made.clone() for made in self._made]

    def _capture(self, values: Sequence[Tensor]) -> None:
        self._given = [value.clone() for value in values]
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._made = self._program(*self._given)
