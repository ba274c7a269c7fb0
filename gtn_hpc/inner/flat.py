"""A learner whose parameters are one vector, so that storing, updating and comparing states are single operations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from gtn_hpc.core.errors import UsageError
from gtn_hpc.core.records import Batch, Hyper
from gtn_hpc.inner.fingerprint import fingerprint
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.inner.pullback import pullback
from gtn_hpc.inner.step import Learner, LearnerState, real_loss, training_loss

THETA = "theta"


@dataclass(frozen=True)
class FlatState:
    """theta [P], the buffers by name, and the optimiser's state: a vector [P] or a number for each of its kinds.

    A cotangent has the same form; what it leaves out is zero.
    """

    theta: Tensor
    buffers: Tensors = field(default_factory=dict)
    optimiser: Tensors = field(default_factory=dict)

    def tensors(self) -> list[Tensor]:
        return [self.theta, *self.buffers.values(), *self.optimiser.values()]

    def filled(self, tensors: Sequence[Tensor]) -> "FlatState":
        """A state of this form with other `tensors`, in the order of `tensors()`."""
        values = iter(tensors)
        theta, buffers = next(values), {k: next(values) for k in self.buffers}
        return FlatState(theta, buffers, {k: next(values) for k in self.optimiser})

    def bytes(self) -> int:
        return sum(value.numel() * value.element_size() for value in self.tensors())


@dataclass(frozen=True)
class FlatLearner:
    """`learner` as functions of flat states; shapes are those of its module's parameters, in their order."""

    learner: Learner

    @cached_property
    def shapes(self) -> dict[str, torch.Size]:
        return {k: p.shape for k, p in self.learner.module.named_parameters()}

    @cached_property
    def sizes(self) -> list[int]:
        return [shape.numel() for shape in self.shapes.values()]

    @cached_property
    def fingerprint(self) -> str:
        """Equal for learners that differ in the values of their parameters and in their seed alone."""
        learner = self.learner
        return fingerprint(learner.module, learner.optimiser, learner.autocast, learner.stochastic)

    def pack(self, state: LearnerState) -> FlatState:
        """Raises UsageError where the parameters are of several types."""
        if len({p.dtype for p in state.params.values()}) > 1:
            raise UsageError(
                "The trajectory engine needs a learner whose parameters have one type.",
                remedy="Give all parameters one type, or use engine.name=unrolled.",
            )
        kinds = dict.fromkeys(k.partition(".")[0] for k in state.optimiser)
        return FlatState(self.pack_params(state.params), state.buffers, {k: self._kind(k, state) for k in kinds})

    def _kind(self, kind: str, state: LearnerState) -> Tensor:
        if kind in state.optimiser:
            return state.optimiser[kind]
        return self.pack_params({k: state.optimiser[f"{kind}.{k}"] for k in self.shapes})

    def pack_params(self, params: Tensors) -> Tensor:
        return torch.cat([params[k].detach().flatten() for k in self.shapes])

    def params(self, theta: Tensor) -> Tensors:
        """Views of theta by the names of the module's parameters."""
        parts = theta.split(self.sizes)
        return {k: part.view(shape) for (k, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def gradient(
        self, theta: Tensor, buffers: Tensors, batch: Batch, t: int, *, create_graph: bool
    ) -> tuple[Tensor, Tensors]:
        """Gradient [P] of the training loss of step t, and the buffers after it; theta must require grad."""
        params = self.params(theta)
        loss, buffers = training_loss(self.learner, params, buffers, batch, t)
        found = torch.autograd.grad(loss, list(params.values()), create_graph=create_graph, materialize_grads=True)
        return torch.cat([g.flatten() for g in found]), buffers

    def update(self, gradient: Tensor, state: FlatState, buffers: Tensors, hyper: Hyper) -> FlatState:
        """The state after the optimiser's step."""
        before = {k if v.dim() == 0 else f"{k}.{THETA}": v for k, v in state.optimiser.items()}
        theta, after = self.learner.optimiser.update({THETA: gradient}, before, {THETA: state.theta}, hyper)
        return FlatState(theta[THETA], buffers, {k.partition(".")[0]: v for k, v in after.items()})

    def gradient_between(self, before: FlatState, after: FlatState, hyper: Hyper) -> Tensor | None:
        """The gradient that led from `before` to `after` where the optimiser's states tell it, else None."""
        return self.learner.optimiser.gradient_between(before.optimiser, after.optimiser, hyper)

    def pull_update(self, gradient: Tensor, state: FlatState, hyper: Hyper, cotangent: FlatState) -> "PulledUpdate":
        """The vector-Jacobian product of `update`, by autograd: a few operations on vectors."""
        named = {"gradient": gradient, "theta": state.theta, "lr": hyper.lr, "momentum": hyper.momentum}
        leaves = {k: v.detach().requires_grad_() for k, v in (named | state.optimiser).items()}
        with torch.enable_grad():
            before = FlatState(leaves["theta"], {}, {k: leaves[k] for k in state.optimiser})
            after = self.update(leaves["gradient"], before, {}, Hyper(leaves["lr"], leaves["momentum"]))
        outputs = [after.theta, *(after.optimiser[k] for k in cotangent.optimiser)]
        weights = [cotangent.theta, *cotangent.optimiser.values()]
        found = pullback(outputs, list(leaves.values()), weights)
        of = {k: torch.zeros_like(v) if g is None else g for (k, v), g in zip(leaves.items(), found, strict=True)}
        rates = tuple(of[k] if v.requires_grad else None for k, v in zip(("lr", "momentum"), hyper, strict=True))
        return PulledUpdate(of["gradient"], FlatState(of["theta"], {}, {k: of[k] for k in state.optimiser}), rates)

    def real_loss(self, theta: Tensor, buffers: Tensors, batch: Batch) -> Tensor:
        return real_loss(self.learner, LearnerState(self.params(theta), buffers, {}), batch)


@dataclass(frozen=True)
class PulledUpdate:
    """Cotangents of the gradient, of theta and the optimiser's state, and of rate and momentum (None: not asked)."""

    gradient: Tensor
    state: FlatState
    hyper: tuple[Tensor | None, ...]
