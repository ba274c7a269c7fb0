"""The adjoint that autograd makes: reverse mode over the graph of one step's gradient. For any nn.Module."""

from typing import Any

import torch
from torch import Tensor

from gtn_hpc.core.records import Batch
from gtn_hpc.inner.adjoint import Adjoint, Judged, Pulled, Step, Stepped, present
from gtn_hpc.inner.flat import FlatLearner, FlatState
from gtn_hpc.inner.pullback import pullback


class Reverse(Adjoint):
    """Reverse over reverse. A tape is the graph of the step: its adjoint then costs no second forward pass."""

    records = True

    def advance(self, learner: FlatLearner, state: FlatState, step: Step, *, record: bool = False) -> Stepped:
        if record:
            tape = self._record(learner, state, step)
            return Stepped(detach(tape[-1]), tape)
        return Stepped(detach(take_step(learner, _leaves(state), step, create_graph=False)))

    def pull_back(
        self,
        learner: FlatLearner,
        before: FlatState,
        after: FlatState,  # noqa: ARG002
        step: Step,
        cotangent: FlatState,
        tape: Any,
    ) -> Pulled:
        if tape is None:
            tape = self._record(learner, before, step)
        start, leaf, end = tape
        return _vector_jacobian(start, leaf, end, cotangent)

    def _record(self, learner: FlatLearner, state: FlatState, step: Step) -> tuple[FlatState, Step, FlatState]:
        """The step as a graph: its leaves, and the state after it."""
        start, leaf = _leaves(state), step.detached()
        return start, leaf, take_step(learner, start, leaf, create_graph=True)

    def judge(self, learner: FlatLearner, state: FlatState, real: Batch) -> Judged:
        with torch.enable_grad():
            leaves = _leaves(state)
            loss = learner.real_loss(leaves.theta, leaves.buffers, real)
        inputs = [leaves.theta, *leaves.buffers.values()]
        theta, *buffers = torch.autograd.grad(loss, inputs, allow_unused=True)
        named = present(dict(zip(leaves.buffers, buffers, strict=True)))
        return Judged(loss.detach(), FlatState(_or_zeros(theta, state.theta), named))


def take_step(learner: FlatLearner, state: FlatState, step: Step, *, create_graph: bool) -> FlatState:
    """The inner step; with `create_graph` as a graph over state and step."""
    with torch.enable_grad():
        gradient, buffers = learner.gradient(state.theta, state.buffers, step.batch, step.t, create_graph=create_graph)
    with torch.set_grad_enabled(create_graph):
        return learner.update(gradient, state, buffers, step.hyper)


def detach(state: FlatState) -> FlatState:
    """The same values without their graph."""

    def each(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: v.detach() for k, v in tensors.items()}

    return FlatState(state.theta.detach(), each(state.buffers), each(state.optimiser))


def _leaves(state: FlatState) -> FlatState:
    def each(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: v.detach().requires_grad_(v.is_floating_point()) for k, v in tensors.items()}

    return FlatState(state.theta.detach().requires_grad_(), each(state.buffers), each(state.optimiser))


def _vector_jacobian(before: FlatState, step: Step, after: FlatState, cotangent: FlatState) -> Pulled:
    outputs, weights = [after.theta], [cotangent.theta]
    for values, given in ((after.buffers, cotangent.buffers), (after.optimiser, cotangent.optimiser)):
        wanted = [k for k in given if values[k].requires_grad]
        outputs += [values[k] for k in wanted]
        weights += [given[k] for k in wanted]
    inputs = [v for v in (*before.tensors(), *step.inputs()) if v.requires_grad]
    found = dict(zip(map(id, inputs), pullback(outputs, inputs, weights), strict=True))

    def of(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return present({k: found.get(id(v)) for k, v in tensors.items()})

    theta = _or_zeros(found[id(before.theta)], before.theta)
    state = FlatState(theta, of(before.buffers), of(before.optimiser))
    return Pulled(state, tuple(found.get(id(v)) for v in step.inputs()))


def _or_zeros(value: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if value is None else value
