"""Inner optimisers as pure pairs (init, update), differentiable in gradients, state, rate and momentum.

Each follows `torch.optim` for constant rate and momentum; here both are tensors that may change every step.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gtn_hpc.config.teaching import Inner
from gtn_hpc.core.records import Hyper

Tensors = dict[str, Tensor]


class Update(NamedTuple):
    """Parameters and optimiser state after one update."""

    params: Tensors
    state: Tensors


class InnerOptimiser(ABC):
    """`init` makes the state of step 0, `update` one step; nothing is changed in place."""

    @abstractmethod
    def init(self, params: Tensors) -> Tensors:
        """State before the first step; as many bytes as it has copies of the parameters."""

    @abstractmethod
    def update(self, gradient: Tensors, state: Tensors, params: Tensors, hyper: Hyper) -> Update:
        """Parameters and state after a step along `gradient`."""

    def gradient_between(self, before: Tensors, after: Tensors, hyper: Hyper) -> Tensor | None:  # noqa: ARG002
        """The gradient of the step between two states of a single vector, where they tell it exactly."""
        return None


@dataclass(frozen=True)
class SGD(InnerOptimiser):
    """Heavy-ball momentum: v = m v + g, theta = theta - lr v."""

    def init(self, params: Tensors) -> Tensors:
        return _zeros("velocity", params)

    def update(self, gradient: Tensors, state: Tensors, params: Tensors, hyper: Hyper) -> Update:
        velocity = {k: hyper.momentum * state[f"velocity.{k}"] + g for k, g in gradient.items()}
        moved = {k: p - hyper.lr * velocity[k] for k, p in params.items()}
        return Update(moved, _named("velocity", velocity))

    def gradient_between(self, before: Tensors, after: Tensors, hyper: Hyper) -> Tensor | None:
        return after["velocity"] - hyper.momentum * before["velocity"]


@dataclass(frozen=True)
class RMSProp(InnerOptimiser):
    """s = a s + (1 - a) g^2, v = m v + g / (sqrt(s) + eps), theta = theta - lr v."""

    alpha: float = 0.99
    eps: float = 1e-8

    def init(self, params: Tensors) -> Tensors:
        return _zeros("square", params) | _zeros("velocity", params)

    def update(self, gradient: Tensors, state: Tensors, params: Tensors, hyper: Hyper) -> Update:
        square = {k: self.alpha * state[f"square.{k}"] + (1 - self.alpha) * g * g for k, g in gradient.items()}
        scaled = {k: g / (safe_sqrt(square[k]) + self.eps) for k, g in gradient.items()}
        velocity = {k: hyper.momentum * state[f"velocity.{k}"] + g for k, g in scaled.items()}
        moved = {k: p - hyper.lr * velocity[k] for k, p in params.items()}
        return Update(moved, _named("square", square) | _named("velocity", velocity))


@dataclass(frozen=True)
class Adam(InnerOptimiser):
    """Kingma and Ba 2015 in torch.optim's order: eps is added after the bias correction.

    With a momentum that changes, beta1^t in the correction is the product of the momenta so far.
    """

    beta2: float = 0.999
    eps: float = 1e-8

    def init(self, params: Tensors) -> Tensors:
        one = torch.ones_like(next(iter(params.values())).flatten()[0])
        return _zeros("first", params) | _zeros("second", params) | {"decay1": one, "decay2": one}

    def update(self, gradient: Tensors, state: Tensors, params: Tensors, hyper: Hyper) -> Update:
        beta1, beta2 = hyper.momentum, self.beta2
        first = {k: beta1 * state[f"first.{k}"] + (1 - beta1) * g for k, g in gradient.items()}
        second = {k: beta2 * state[f"second.{k}"] + (1 - beta2) * g * g for k, g in gradient.items()}
        decay1, decay2 = state["decay1"] * beta1, state["decay2"] * beta2
        rate, root = hyper.lr / (1 - decay1), torch.sqrt(1 - decay2)
        moved = {k: p - rate * first[k] / (safe_sqrt(second[k]) / root + self.eps) for k, p in params.items()}
        moments = _named("first", first) | _named("second", second)
        return Update(moved, moments | {"decay1": decay1, "decay2": decay2})


def make_optimiser(section: Inner) -> InnerOptimiser:
    """By `inner.optimiser`; rate and momentum (beta1 of Adam) come with every step."""
    match section.optimiser:
        case "sgd":
            return SGD()
        case "rmsprop":
            return RMSProp(alpha=section.beta2, eps=section.eps)
        case "adam":
            return Adam(beta2=section.beta2, eps=section.eps)


def safe_sqrt(x: Tensor) -> Tensor:
    """Square root with derivative 0 at 0, where a parameter has had no gradient yet."""
    positive = x > 0
    return torch.where(positive, torch.sqrt(torch.where(positive, x, 1.0)), 0.0)


def _zeros(kind: str, params: Tensors) -> Tensors:
    return {f"{kind}.{k}": torch.zeros_like(p) for k, p in params.items()}


def _named(kind: str, values: Tensors) -> Tensors:
    return {f"{kind}.{k}": v for k, v in values.items()}
