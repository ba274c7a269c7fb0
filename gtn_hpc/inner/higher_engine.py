"""The reference engine: the library `higher` (Grefenstette et al. 2019), against which the others are measured."""

import warnings
from typing import Any

import higher
import torch
from higher.optim import DifferentiableOptimizer, register_optim
from torch import Tensor, nn
from torch.nn import functional as F

from gtn_hpc.core.errors import UsageError
from gtn_hpc.core.records import Hyper
from gtn_hpc.inner.engine import Engine, MetaGradient, Task
from gtn_hpc.inner.optimisers import SGD, Adam, InnerOptimiser, RMSProp, Tensors, safe_sqrt
from gtn_hpc.inner.step import Learner, arithmetic, randomness_of_step
from gtn_hpc.inner.unrolled import differentiate


class TorchOrderAdam(torch.optim.Adam):
    """Stands for torch's Adam in `higher`, whose own version adds eps before the bias correction."""


class DifferentiableTorchOrderAdam(DifferentiableOptimizer):  # type: ignore[misc]
    """Adam in torch's order, with beta1 that may change every step."""

    def _update(self, grouped_grads: list[list[Tensor]], **_: Any) -> None:
        group, gradients = self.param_groups[0], grouped_grads[0]
        (beta1, beta2), lr, eps = group["betas"], group["lr"], group["eps"]
        for index, (p, g) in enumerate(zip(group["params"], gradients, strict=True)):
            if g is None:
                continue
            state = self.state[0][index] or {"m": 0.0, "v": 0.0, "d1": 1.0, "d2": 1.0}
            state = {
                "m": beta1 * state["m"] + (1 - beta1) * g,
                "v": beta2 * state["v"] + (1 - beta2) * g * g,
                "d1": state["d1"] * beta1,
                "d2": state["d2"] * beta2,
            }
            self.state[0][index] = state
            root = safe_sqrt(state["v"]) / (1 - state["d2"]) ** 0.5
            group["params"][index] = p - lr / (1 - state["d1"]) * state["m"] / (root + eps)


register_optim(TorchOrderAdam, DifferentiableTorchOrderAdam)


class Higher(Engine):
    """higher's patched module and differentiable optimisers. Time and memory as `Unrolled`."""

    def __call__(self, task: Task, teacher: Tensors, *, wrt_initial: bool = False) -> MetaGradient:
        learner, start = task.learner, {k: p.detach().requires_grad_() for k, p in task.initial.params.items()}
        with torch.no_grad():
            for name, buffer in learner.module.named_buffers():
                buffer.copy_(task.initial.buffers[name])
        patched = higher.monkeypatch(learner.module, copy_initial_weights=True, track_higher_grads=True)
        patched.update_params(list(start.values()))
        optimiser = _differentiable(learner, patched)
        losses: dict[int, Tensor] = {}
        for t in range(task.episode.steps):
            _step(learner, patched, optimiser, task, t)
            if t + 1 in task.real:
                losses[t + 1] = _real_loss(learner, patched, task.real[t + 1].x, task.real[t + 1].y)
        return differentiate(losses, teacher, start if wrt_initial else {})


def _step(learner: Learner, patched: nn.Module, optimiser: DifferentiableOptimizer, task: Task, t: int) -> None:
    batch = task.episode.batch(t)
    patched.train()
    with randomness_of_step(learner, t), arithmetic(learner, batch.x):
        loss = F.cross_entropy(patched(batch.x), batch.y)
    optimiser.step(loss, override=_override(learner.optimiser, task.episode.hyper(t)))


def _real_loss(learner: Learner, patched: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    patched.eval()
    with arithmetic(learner, x):
        return F.cross_entropy(patched(x), y)


def _differentiable(learner: Learner, patched: nn.Module) -> DifferentiableOptimizer:
    with warnings.catch_warnings():
        # higher masks gradients where RMSProp's mean square is 0, and warns of it for any RMSProp: the root has no
        # derivative there. `safe_sqrt` does the same, and the tests hold both against finite differences.
        warnings.filterwarnings("ignore", "Differentiable RMSprop suffers from gradient correctness issues")
        return higher.get_diff_optim(_reference(learner), learner.module.parameters(), fmodel=patched)


def _reference(learner: Learner) -> torch.optim.Optimizer:
    """The torch optimiser that `higher` makes differentiable; rate and momentum come step by step."""
    params, optimiser = learner.module.parameters(), learner.optimiser
    match optimiser:
        case SGD():
            return torch.optim.SGD(params, lr=1.0, momentum=0.5)
        case RMSProp(alpha, eps):
            return torch.optim.RMSprop(params, lr=1.0, momentum=0.5, alpha=alpha, eps=eps)
        case Adam(beta2, eps):
            return TorchOrderAdam(params, lr=1.0, betas=(0.5, beta2), eps=eps)
    raise UsageError(f"The engine 'higher' knows no {type(optimiser).__name__}.", remedy="Use sgd, rmsprop or adam.")


def _override(optimiser: InnerOptimiser, hyper: Hyper) -> dict[str, list[Any]]:
    if isinstance(optimiser, Adam):
        return {"lr": [hyper.lr], "betas": [(hyper.momentum, optimiser.beta2)]}
    return {"lr": [hyper.lr], "momentum": [hyper.momentum]}
