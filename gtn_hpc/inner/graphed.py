"""Programs as CUDA graphs: a small step is otherwise the time to launch its operations."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakSet

import torch
from torch import Tensor

from gtn_hpc.inner.record import Program

Made = TypeVar("Made")

WARM_UP = 2
"""Calls before the capture: libraries choose and allocate in their first calls, which a graph may not hold."""


@functools.cache
def side_stream(device: torch.device) -> torch.cuda.Stream:
    """The one stream of a GPU for all warm-ups and captures: a stream keeps workspaces and memory of its own."""
    return torch.cuda.Stream(device)


def beside(device: torch.device, work: Callable[[], Made]) -> Made:
    """What `work` makes on another stream of `device`, as captures want it of what runs before them."""
    side, main = side_stream(device), torch.cuda.current_stream(device)
    side.wait_stream(main)
    with torch.cuda.stream(side):
        made = work()
    main.wait_stream(side)
    return made


def capture(device: torch.device, work: Callable[[], Made], pool: Any = None) -> tuple[torch.cuda.CUDAGraph, Made]:
    """A graph of what `work` launches on `device`, and where its replays leave what `work` makes; nothing is computed.

    Memory is taken from `pool` if there is one.
    """
    with torch.cuda.device(device):
        graph, main = torch.cuda.CUDAGraph(), torch.cuda.current_stream(device)
        try:
            with torch.cuda.graph(graph, pool=pool, stream=side_stream(device)):
                made = work()
        finally:
            torch.cuda.set_stream(main)  # torch leaves its own stream current where a capture cannot end
    return graph, made


class Graphs:
    """The CUDA graphs of one adjoint in one pool of memory: alone, each would reserve the whole peak of its step.

    They can share it because replays follow one another on one stream, each with its results cloned before the next;
    what goes in lies outside of the pool, and where results lie stays referenced, so that no later capture gets it.
    """

    def __init__(self) -> None:
        self._pool: Any = None
        self._captured: WeakSet[Graphed] = WeakSet()

    def record(self, program: Program) -> "Graphed":
        return Graphed(program, self)

    def capture(self, graphed: "Graphed", device: torch.device, work: Callable[[], Made]) -> Any:
        """See `capture`."""
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        found = capture(device, work, self._pool)
        self._captured.add(graphed)
        return found

    def forget(self) -> bool:
        """Gives the memory of all graphs back, which are captured anew when they are used; whether there were any."""
        captured = list(self._captured)
        for graphed in captured:
            graphed.reset()
        self._captured.clear()
        self._pool = None  # torch may refuse the handle of a pool that has lost its graphs
        return bool(captured)


class Graphed:
    """`program` (without random numbers, for one shape) captured at its third call, and replayed from then on.

    Inputs are copied to the graph's own memory and results from it: two copies of the learner's state a call. Calls
    before are on copies too: kernels may depend on where a tensor begins. Where memory ends, all `graphs` are forgotten
    and the call is made without one; each capture that broke off is followed by four times as many calls without one.
    """

    def __init__(self, program: Program, graphs: Graphs) -> None:
        self._program, self._graphs = program, graphs
        self._without = WARM_UP
        self.reset()

    def reset(self) -> None:
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._given: list[Tensor] = []
        self._made: Sequence[Tensor | None] = ()

    def __call__(self, *values: Tensor) -> Sequence[Tensor | None]:
        try:
            return self._run(values)
        except torch.OutOfMemoryError:
            with_graph = self._calls > self._without
            if not (self._graphs.forget() or with_graph):
                raise
            self._without *= 4 if with_graph else 1
            self.reset()
        return self._program(*copies(values))

    def _run(self, values: Sequence[Tensor]) -> Sequence[Tensor | None]:
        self._calls += 1
        if self._calls <= self._without:
            return beside(values[0].device, lambda: self._program(*copies(values)))
        graph = self._graph or self._capture(values)
        for place, value in zip(self._given, values, strict=True):
            place.copy_(value)
        graph.replay()
        return [None if made is None else made.clone() for made in self._made]

    def _capture(self, values: Sequence[Tensor]) -> torch.cuda.CUDAGraph:
        """Kept only once it has succeeded: a graph that broke off can be replayed, and gives nonsense."""
        given = copies(values)
        graph: torch.cuda.CUDAGraph
        graph, made = self._graphs.capture(self, values[0].device, lambda: self._program(*given))
        self._graph, self._given, self._made = graph, given, made
        return graph


def copies(values: Sequence[Tensor]) -> list[Tensor]:
    return [value.clone() for value in values]
