"""The outer optimiser: Adam on the teacher's parameters, with the schedule as a function of the iteration, and the
moving average of what it made of them (Polyak averaging)."""

import math
from typing import Any, cast

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gtn_hpc.config.teaching import Meta
from gtn_hpc.curriculum.base import Curriculum
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.training.streams import half_cosine
from gtn_hpc.training.updates import Adam


class Outer:
    """Holds Adam's moments, and the average where one is asked for; `step` is one update of the teacher."""

    def __init__(self, teacher: Curriculum, section: Meta) -> None:
        self.teacher, self.section = teacher, section
        self.adam = Adam(teacher.parameters(), section.betas, section.eps, foreach=True)
        self.average: AveragedModel | None = None
        if section.average is not None:
            self.average = AveragedModel(teacher, multi_avg_fn=get_ema_multi_avg_fn(section.average))

    @property
    def result(self) -> Curriculum:
        """The teacher that is judged and exported: the average once there is one, or the one that was updated last."""
        if self.average is None or not self.average.n_averaged:
            return self.teacher
        return cast(Curriculum, self.average.module)

    @property
    def updated(self) -> bool:
        """Whether any meta-iteration has changed the teacher."""
        return any(moments["step"] > 0 for moments in self.adam.moments)

    def step(self, gradient: Tensors, iteration: int) -> float:
        """Updates the teacher along `gradient`; returns the gradient's norm before clipping."""
        for name, parameter in self.teacher.named_parameters():
            parameter.grad = gradient[name]
        clip = math.inf if self.section.clip is None else self.section.clip
        norm = torch.nn.utils.clip_grad_norm_(self.teacher.parameters(), clip, foreach=True)
        self.adam.step(self.lr(iteration))
        self.teacher.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.teacher)
        return float(norm)

    def lr(self, iteration: int) -> float:
        """Outer learning rate: a cosine from `lr` to `final_lr` x `lr`, or constant."""
        if self.section.schedule == "constant":
            return self.section.lr
        share = half_cosine(iteration, self.section.iterations)
        return self.section.lr * (self.section.final_lr + (1 - self.section.final_lr) * share)

    def named(self) -> Tensors:
        """Every tensor of teacher, moments and average by a name for people, in one order on all ranks."""
        moments = {
            f"{moment} of {name}": tensor
            for (name, _), moments in zip(self.teacher.named_parameters(), self.adam.moments, strict=True)
            for moment, tensor in moments.items()
        }
        return {**self.teacher.state_dict(), **moments, **{f"average {k}": v for k, v in self._averaged().items()}}

    def state(self) -> dict[str, Any]:
        """Teacher, moments and average as nested tensors, for a checkpoint."""
        moments = dict(enumerate(self.adam.moments))
        return {"teacher": self.teacher.state_dict(), "adam": moments, "average": self._averaged()}

    def restore(self, state: dict[str, Any]) -> None:
        self.teacher.load_state_dict(state["teacher"])
        for i, moments in enumerate(self.adam.moments):
            for kind, tensor in moments.items():
                tensor.copy_(state["adam"][i][kind])
        if self.average is not None:
            self.average.load_state_dict(state["average"])

    def _averaged(self) -> Tensors:
        return {} if self.average is None else self.average.state_dict()
