"""Ways to take the inner steps of one learner; all compute the same function, up to rounding."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gtn_hpc.core.errors import DeviceLost
from gtn_hpc.core.records import Batch, Hyper
from gtn_hpc.inner.adjoint import Adjoint, Step
from gtn_hpc.inner.compiled import Compiled
from gtn_hpc.inner.flat import FlatLearner, FlatState
from gtn_hpc.inner.graphed import WARM_UP, beside, capture, copies
from gtn_hpc.inner.reverse import Reverse
from gtn_hpc.inner.step import Learner, LearnerState, inner_step
from gtn_hpc.inner.traced import Traced
from gtn_hpc.inner.trajectory import out_of_memory


class Stepper(ABC):
    """Holds a learner's state while it is trained."""

    @abstractmethod
    def step(self, t: int, batch: Batch, hyper: Hyper) -> None: ...

    @abstractmethod
    def state(self) -> LearnerState:
        """After the steps so far; not touched by those that follow."""


class Plain(Stepper):
    """Step by step as meta-training does."""

    def __init__(self, learner: Learner, state: LearnerState) -> None:
        self._learner, self._state = learner, state

    def step(self, t: int, batch: Batch, hyper: Hyper) -> None:
        self._state = inner_step(self._learner, self._state, batch, hyper, t)

    def state(self) -> LearnerState:
        return self._state


class Flat(Stepper):
    """Parameters as one vector, so that an update is a handful of operations; the step is the adjoint's `advance`."""

    def __init__(self, learner: Learner, state: LearnerState, adjoint: Adjoint) -> None:
        self._learner, self._adjoint = FlatLearner(learner), adjoint
        self._kinds, self._state = list(state.optimiser), self._learner.pack(state)

    def step(self, t: int, batch: Batch, hyper: Hyper) -> None:
        self._state = self._advance(self._state, Step(t, batch, hyper))

    def _advance(self, state: FlatState, step: Step) -> FlatState:
        return self._adjoint.advance(self._learner, state, step).state

    def state(self) -> LearnerState:
        vectors = {k: self._learner.params(v) for k, v in self._state.optimiser.items() if v.dim()}
        optimiser = {}
        for name in self._kinds:
            kind, _, parameter = name.partition(".")
            optimiser[name] = vectors[kind][parameter] if parameter else self._state.optimiser[kind]
        return LearnerState(self._learner.params(self._state.theta), self._state.buffers, optimiser)


class GraphedSteps(Flat):
    """`Flat` on a GPU with each step launched as one CUDA graph, captured at the third step.

    A small network's step is otherwise the time to launch its operations. The state lives in the graph's own memory.

    Raises (`step`):
        DeviceLost: the capture failed, after which torch's allocator believes that it goes on.
    """

    def __init__(self, learner: Learner, state: LearnerState, adjoint: Adjoint) -> None:
        super().__init__(learner, state, adjoint)
        self._taken, self._device = 0, self._state.theta.device
        self._graph: torch.cuda.CUDAGraph | None = None

    def step(self, t: int, batch: Batch, hyper: Hyper) -> None:
        self._taken += 1
        if self._taken <= WARM_UP:
            own = Batch(*copies(batch)), Hyper(*copies(hyper))
            beside(self._device, lambda: super(GraphedSteps, self).step(t, *own))
            return
        graph = self._graph or self._capture(t, batch, hyper)
        for place, value in zip(self._given.inputs(), (*batch, *hyper), strict=True):
            place.copy_(value)
        graph.replay()

    def _capture(self, t: int, batch: Batch, hyper: Hyper) -> torch.cuda.CUDAGraph:
        self._given = Step(t, Batch(*copies(batch)), Hyper(*copies(hyper)))
        self._state = self._state.filled([v.detach().clone() for v in self._state.tensors()])

        def work() -> None:
            after = self._advance(self._state, self._given)
            for place, value in zip(self._state.tensors(), after.tensors(), strict=True):
                place.copy_(value)

        try:
            self._graph, _ = capture(self._device, work)
        except Exception as error:
            if out_of_memory(error):
                raise
            raise DeviceLost(
                f"A step could not be recorded as a CUDA graph: {(str(error) or repr(error)).splitlines()[0]}",
                remedy="Start again: it goes on where it was. Where it ends there again, set search.fast=lean.",
            ) from error
        return self._graph

    def state(self) -> LearnerState:
        found = super().state()
        if self._taken <= WARM_UP:
            return found
        return LearnerState(_copies(found.params), _copies(found.buffers), _copies(found.optimiser))


def _copies(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in values.items()}


Begin = Callable[[Learner, LearnerState], Stepper]


def make_stepper(fast: str, device: torch.device) -> Begin:
    """By `search.fast`: reference, lean, traced, compiled, graphs, or auto (graphs on a GPU, lean on a CPU).

    A graph needs random numbers that it draws itself: a learner with dropout takes its steps without one.
    """
    name = {"auto": "graphs" if device.type == "cuda" else "lean"}.get(fast, fast)
    if name == "reference":
        return Plain
    adjoints: dict[str, Callable[[], Any]] = {
        "traced": lambda: Traced(Reverse()),
        "compiled": lambda: Compiled(Reverse()),
    }
    adjoint = adjoints.get(name, Reverse)()
    if name != "graphs" or device.type != "cuda":
        return lambda learner, state: Flat(learner, state, adjoint)
    return lambda learner, state: (Flat if learner.stochastic else GraphedSteps)(learner, state, adjoint)
