"""What a single-step adjoint takes and gives.

With s_t = (theta_t, buffers, optimiser state) and s_{t+1} = Phi_t(s_t, x_t, y_t, lr_t, m_t), an adjoint turns the
cotangent of s_{t+1} into those of everything Phi_t depends on (derived in docs/engine.md).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from gtn_hpc.core.records import Batch, Hyper
from gtn_hpc.inner.flat import FlatLearner, FlatState


@dataclass(frozen=True)
class Step:
    """Everything an inner step depends on but the state: its number, batch, rate and momentum.

    Cotangents are made for those of x, y, lr and momentum that require grad.
    """

    t: int
    batch: Batch
    hyper: Hyper

    def inputs(self) -> tuple[Tensor, ...]:
        """x, y, lr, momentum."""
        return (*self.batch, *self.hyper)

    def detached(self, *, leaves: bool = True) -> "Step":
        """The same values without a graph; `leaves` require grad where the originals do."""
        return self.with_values(self.inputs(), leaves=leaves)

    def with_values(self, values: Sequence[Tensor], *, leaves: bool = True) -> "Step":
        """The same step with other `values` of its inputs, without their graph; `leaves` as for `detached`."""
        x, y, lr, momentum = (
            v.detach().requires_grad_(leaves and old.requires_grad)
            for v, old in zip(values, self.inputs(), strict=True)
        )
        return Step(self.t, Batch(x, y), Hyper(lr, momentum))


class Stepped(NamedTuple):
    """The state after a step and, where it was asked for, the tape that makes its adjoint cheaper."""

    state: FlatState
    tape: Any = None


class Pulled(NamedTuple):
    """Cotangents of the state before the step, and of x, y, lr and momentum (None where not asked for)."""

    state: FlatState
    inputs: tuple[Tensor | None, ...]


class Judged(NamedTuple):
    """A real loss, and its gradient with respect to the state."""

    loss: Tensor
    cotangent: FlatState


class Adjoint(ABC):
    """One inner step forward and backward, and the real loss with its gradient, for one learner at a time."""

    records: bool = False
    """Whether `advance` can leave a tape."""

    keeps_graphs: bool = False
    """Whether, on a GPU, each shape of learner takes memory for CUDA graphs of its own."""

    @abstractmethod
    def advance(self, learner: FlatLearner, state: FlatState, step: Step, *, record: bool = False) -> Stepped:
        """The state after `step`, without a graph; with a tape if `record`."""

    @abstractmethod
    def pull_back(
        self, learner: FlatLearner, before: FlatState, after: FlatState, step: Step, cotangent: FlatState, tape: Any
    ) -> Pulled:
        """The vector-Jacobian product of `step` from `before` to `after`."""

    @abstractmethod
    def judge(self, learner: FlatLearner, state: FlatState, real: Batch) -> Judged:
        """The meta-loss of `state` and its gradient."""


def accumulate(first: FlatState, second: FlatState) -> FlatState:
    """The sum of two cotangents."""
    return FlatState(
        first.theta + second.theta, _sum(first.buffers, second.buffers), _sum(first.optimiser, second.optimiser)
    )


def present(tensors: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """Those that are there, as a cotangent holds them."""
    return {k: v for k, v in tensors.items() if v is not None}


def _sum(first: dict[str, Tensor], second: dict[str, Tensor]) -> dict[str, Tensor]:
    both = {k: first[k] + second[k] for k in first if k in second}
    return {**first, **second, **both}
