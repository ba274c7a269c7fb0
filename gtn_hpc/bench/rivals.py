"""Other ways to the same meta-gradient, and training without one."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from gtn_hpc.core.records import Batch, Hyper
from gtn_hpc.inner.engine import Engine, MetaGradient, Task
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.inner.step import LearnerState, arithmetic, inner_step, real_loss


class Plain(Engine):
    """T ordinary training steps and the evaluation: what a learner costs without a meta-gradient."""

    @torch.no_grad()
    def __call__(
        self,
        task: Task,
        teacher: Tensors,  # noqa: ARG002
        *,
        wrt_initial: bool = False,  # noqa: ARG002
    ) -> MetaGradient:
        state, steps = task.initial, task.episode.steps
        for t in range(steps):
            state = inner_step(task.learner, state, task.episode.batch(t), task.episode.hyper(t), t)
        return MetaGradient({steps: float(real_loss(task.learner, state, task.real[steps]))}, {})


class Checkpointed(Engine):
    """functional_call with create_graph, each step under torch.utils.checkpoint."""

    def __call__(
        self,
        task: Task,
        teacher: Tensors,
        *,
        wrt_initial: bool = False,  # noqa: ARG002
    ) -> MetaGradient:
        state, steps = task.initial, task.episode.steps
        for t in range(steps):
            state = self._step(task, state, t)
        loss = real_loss(task.learner, state, task.real[steps])
        found = torch.autograd.grad(loss, list(teacher.values()), materialize_grads=True)
        return MetaGradient({steps: float(loss.detach())}, dict(zip(teacher, found, strict=True)))

    def _step(self, task: Task, state: LearnerState, t: int) -> LearnerState:
        kinds = [state.params, state.buffers, state.optimiser]
        names = [list(kind) for kind in kinds]

        def run(values: Sequence[Tensor]) -> Sequence[Tensor]:
            given = iter(values)
            params, buffers, optimiser = ({k: next(given) for k in kind} for kind in names)
            before = LearnerState(params, buffers, optimiser)
            batch, hyper = task.episode.batch(t), task.episode.hyper(t)
            after = inner_step(task.learner, before, batch, hyper, t, create_graph=True)
            return [*after.params.values(), *after.buffers.values(), *after.optimiser.values()]

        values = [v for kind in kinds for v in kind.values()]
        found = iter(checkpoint(run, values, use_reentrant=False, preserve_rng_state=False))
        params, buffers, optimiser = ({k: next(found) for k in kind} for kind in names)
        return LearnerState(params, buffers, optimiser)


class TorchOpt(Engine):
    """torchopt.MetaOptimizer with heavy-ball SGD whose rate and momentum change every step."""

    def __call__(
        self,
        task: Task,
        teacher: Tensors,
        *,
        wrt_initial: bool = False,  # noqa: ARG002
    ) -> MetaGradient:
        import torchopt

        module, steps = copy.deepcopy(task.learner.module), task.episode.steps
        rule = _HeavyBall()
        optimiser = torchopt.MetaOptimizer(module, torchopt.base.GradientTransformation(rule.init, rule.update))
        module.train()
        for t in range(steps):
            batch: Batch = task.episode.batch(t)
            rule.hyper = task.episode.hyper(t)
            optimiser.step(self._loss(task, module, batch))
        loss = self._loss(task, module.eval(), task.real[steps])
        found = torch.autograd.grad(loss, list(teacher.values()), materialize_grads=True)
        return MetaGradient({steps: float(loss.detach())}, dict(zip(teacher, found, strict=True)))

    def _loss(self, task: Task, module: nn.Module, batch: Batch) -> Tensor:
        with arithmetic(task.learner, batch.x):
            return F.cross_entropy(module(batch.x), batch.y)


class _HeavyBall:
    """TorchOpt's pair (init, update) of the inner SGD."""

    hyper: Hyper

    def init(self, params: Any) -> Any:
        return tuple(torch.zeros_like(p) for p in params)

    def update(self, updates: Any, state: Any, *, params: Any = None, inplace: bool = False) -> tuple[Any, Any]:  # noqa: ARG002
        velocity = tuple(self.hyper.momentum * v + g for v, g in zip(state, updates, strict=True))
        return tuple(-self.hyper.lr * v for v in velocity), velocity
