"""torch's Adam and SGD by their functions: the classes import torch._dynamo, for two seconds in every process."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd


class Adam:
    """`torch.optim.Adam` without weight decay, bit for bit; each parameter's moments are in `moments`, all zero first.

    Parameters without a gradient are left as they are.
    """

    def __init__(
        self, parameters: Iterable[Tensor], betas: tuple[float, float], eps: float, *, foreach: bool | None = None
    ) -> None:
        self.parameters, self.betas, self.eps, self.foreach = list(parameters), betas, eps, foreach
        self.moments = [_no_moments(parameter) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, lr: float) -> None:
        moved = [(p, p.grad, m) for p, m in zip(self.parameters, self.moments, strict=True) if p.grad is not None]
        first, second, steps = ([m[k] for _, _, m in moved] for k in ("exp_avg", "exp_avg_sq", "step"))
        adam(
            [parameter for parameter, _, _ in moved],
            [gradient for _, gradient, _ in moved],
            first,
            second,
            [],
            steps,
            foreach=self.foreach,
            amsgrad=False,
            maximize=False,
            lr=lr,
            beta1=self.betas[0],
            beta2=self.betas[1],
            eps=self.eps,
            weight_decay=0.0,
        )


def _no_moments(parameter: Tensor) -> dict[str, Tensor]:
    """What Adam itself begins with, made early so that there is something to overwrite by another rank's."""
    return {
        "step": torch.tensor(0.0),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }


@dataclass
class SGD:
    """`torch.optim.SGD` with heavy-ball momentum and weight decay, bit for bit; its state in the class's layout."""

    parameters: list[Tensor]
    momentum: float
    weight_decay: float

    def __post_init__(self) -> None:
        self.buffers: list[Tensor | None] = [None] * len(self.parameters)

    @torch.no_grad()
    def step(self, lr: float) -> None:
        moved = [i for i, parameter in enumerate(self.parameters) if parameter.grad is not None]
        buffers = [self.buffers[i] for i in moved]
        sgd(
            [self.parameters[i] for i in moved],
            [cast(Tensor, self.parameters[i].grad) for i in moved],
            buffers,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=lr,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        for i, buffer in zip(moved, buffers, strict=True):
            self.buffers[i] = buffer

    def state(self) -> dict[str, Any]:
        return {"state": {i: {"momentum_buffer": b} for i, b in enumerate(self.buffers) if b is not None}}

    def restore(self, state: dict[str, Any]) -> None:
        for i, parameter in enumerate(self.parameters):
            kept = state["state"].get(i, {}).get("momentum_buffer")
            self.buffers[i] = None if kept is None else kept.to(parameter)
