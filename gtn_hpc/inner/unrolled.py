"""The textbook engine: keep the graph of every step, then one backward pass through all of them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gtn_hpc.inner.engine import Engine, MetaGradient, Task
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.inner.step import LearnerState, inner_step, real_loss


class Unrolled(Engine):
    """functional_call with create_graph. Memory grows by a whole graph a step (68 MiB on the workload W1)."""

    def __call__(self, task: Task, teacher: Tensors, *, wrt_initial: bool = False) -> MetaGradient:
        start = {k: p.detach().requires_grad_() for k, p in task.initial.params.items()}
        state = LearnerState(start, task.initial.buffers, task.initial.optimiser)
        losses = {}
        for t in range(task.episode.steps):
            state = inner_step(task.learner, state, task.episode.batch(t), task.episode.hyper(t), t, create_graph=True)
            if t + 1 in task.real:
                losses[t + 1] = real_loss(task.learner, state, task.real[t + 1])
        return differentiate(losses, teacher, start if wrt_initial else {})


def differentiate(losses: Mapping[int, Tensor], teacher: Tensors, initial: Tensors) -> MetaGradient:
    """Of the sum of `losses` (by steps done), through the graph that made them."""
    wanted = [*teacher.values(), *initial.values()]
    found = torch.autograd.grad(torch.stack(list(losses.values())).sum(), wanted, materialize_grads=True)
    return MetaGradient(
        losses={k: float(v.detach()) for k, v in losses.items()},
        gradient=dict(zip(teacher, found, strict=False)),
        initial=dict(zip(initial, found[len(teacher) :], strict=True)),
    )
