"""Inner learning rate and momentum, learned per step, as one number, or not at all (paper section 3.3)."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from gtn_hpc.config.teaching import Inner
from gtn_hpc.core.records import Hyper


class Schedule(nn.Module, ABC):
    """Rate and momentum of every inner step."""

    @abstractmethod
    def table(self) -> tuple[Tensor, Tensor]:
        """Rate [T] and momentum [T], differentiable where they are learned."""

    def forward(self, t: int) -> Hyper:
        lr, momentum = self.table()
        return Hyper(lr[t], momentum[t])

    def several(self, steps: range) -> list[Hyper]:
        """Of consecutive steps."""
        lr, momentum = (values[steps.start : steps.stop].unbind() for values in self.table())
        return list(map(Hyper, lr, momentum))


class FixedSchedule(Schedule):
    """Rate [T] and momentum [T] as given."""

    lr: Tensor
    momentum: Tensor

    def __init__(self, lr: Tensor, momentum: Tensor) -> None:
        super().__init__()
        self.register_buffer("lr", lr)
        self.register_buffer("momentum", momentum)

    def table(self) -> tuple[Tensor, Tensor]:
        return self.lr, self.momentum


class LearnedSchedule(Schedule):
    """Rate as exp and momentum as sigmoid of a parameter, one a step or one for all, so that every value is valid."""

    def __init__(self, section: Inner, steps: int) -> None:
        super().__init__()
        self.steps = steps
        size = steps if section.learn == "per_step" else 1
        momentum = min(max(section.momentum, 1e-4), 1 - 1e-4)
        self.log_lr = nn.Parameter(torch.full((size,), math.log(section.lr)))
        self.logit_momentum = nn.Parameter(torch.full((size,), math.log(momentum / (1 - momentum))))

    def table(self) -> tuple[Tensor, Tensor]:
        return self.log_lr.exp().expand(self.steps), self.logit_momentum.sigmoid().expand(self.steps)


def make_schedule(section: Inner, steps: int) -> Schedule:
    """By `inner.learn`: of T = `steps` steps, which begin at `inner.lr` and `inner.momentum`."""
    if section.learn == "no":
        return FixedSchedule(torch.full((steps,), section.lr), torch.full((steps,), section.momentum))
    return LearnedSchedule(section, steps)
