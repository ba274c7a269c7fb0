"""The outer optimiser: Adam on the teacher's parameters, with the schedule as a function of the iteration, and the
moving average of what it made of them (Polyak averaging)."""

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gtn_hpc.config.teaching import Meta
from gtn_hpc.curriculum.base import Curriculum
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.training.streams import half_cosine


class Outer:
    """Holds Adam's moments, and the average where one is asked for; `step` is one update of the teacher."""

    def __init__(self, teacher: Curriculum, section: Meta) -> None:
        self.teacher, self.section = teacher, section
        self.moments = [_no_moments(parameter) for parameter in teacher.parameters()]
        self.average: AveragedModel | None = None
        if section.average is not None:
            self.average = AveragedModel(teacher, multi_avg_fn=get_ema_multi_avg_fn(section.average))

    @property
    def result(self) -> Curriculum:
        """The teacher that is judged and exported: the average, or the one that was updated last."""
        return self.teacher if self.average is None else cast(Curriculum, self.average.module)

    def step(self, gradient: Tensors, iteration: int) -> float:
        """Updates the teacher along `gradient`; returns the gradient's norm before clipping."""
        for name, parameter in self.teacher.named_parameters():
            parameter.grad = gradient[name]
        clip = math.inf if self.section.clip is None else self.section.clip
        norm = torch.nn.utils.clip_grad_norm_(self.teacher.parameters(), clip, foreach=True)
        self._adam(self.lr(iteration))
        self.teacher.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.teacher)
        return float(norm)

    @torch.no_grad()
    def _adam(self, lr: float) -> None:
        """torch.optim.Adam's function: the class imports torch._dynamo, for two seconds in every process."""
        parameters: list[Tensor] = list(self.teacher.parameters())
        gradients = [cast(Tensor, parameter.grad) for parameter in parameters]
        first, second, steps = ([m[k] for m in self.moments] for k in ("exp_avg", "exp_avg_sq", "step"))
        beta1, beta2 = self.section.betas
        adam(
            parameters,
            gradients,
            first,
            second,
            [],
            steps,
            foreach=True,
            amsgrad=False,
            maximize=False,
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            eps=self.section.eps,
            weight_decay=0.0,
        )

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
            for (name, _), moments in zip(self.teacher.named_parameters(), self.moments, strict=True)
            for moment, tensor in moments.items()
        }
        return {**self.teacher.state_dict(), **moments, **{f"average {k}": v for k, v in self._averaged().items()}}

    def state(self) -> dict[str, Any]:
        """Teacher, moments and average as nested tensors, for a checkpoint."""
        moments = dict(enumerate(self.moments))
        return {"teacher": self.teacher.state_dict(), "adam": moments, "average": self._averaged()}

    def restore(self, state: dict[str, Any]) -> None:
        self.teacher.load_state_dict(state["teacher"])
        for i, moments in enumerate(self.moments):
            for kind, tensor in moments.items():
                tensor.copy_(state["adam"][i][kind])
        if self.average is not None:
            self.average.load_state_dict(state["average"])

    def _averaged(self) -> Tensors:
        return {} if self.average is None else self.average.state_dict()


def _no_moments(parameter: Tensor) -> Tensors:
    """What Adam itself begins with, made early so that there is something to overwrite by another rank's."""
    return {
        "step": torch.tensor(0.0),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }
