"""The textbook engine: keep the graph of every step, then one backward pass through all of them."""

import torch

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
        wanted = teacher | (start if wrt_initial else {})
        total = torch.stack(list(losses.values())).sum()
        found = torch.autograd.grad(total, list(wanted.values()), materialize_grads=True)
        return MetaGradient(
            losses={k: float(v.detach()) for k, v in losses.items()},
            gradient=dict(zip(teacher, found, strict=False)),
            initial=dict(zip(start, found[len(teacher) :], strict=True)) if wrt_initial else {},
        )
