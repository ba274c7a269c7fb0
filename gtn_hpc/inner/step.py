"""One step of a learner's training as a pure function of its state, and the real loss that judges the state."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from gtn_hpc.core.records import Batch, Hyper
from gtn_hpc.core.streams import derive
from gtn_hpc.inner.optimisers import InnerOptimiser, Tensors
from gtn_hpc.models.precision import autocast, widened


@dataclass(frozen=True)
class LearnerState:
    """theta_t, the buffers (statistics of batch norm) and the optimiser's state, each by name."""

    params: Tensors
    buffers: Tensors
    optimiser: Tensors


@dataclass(frozen=True)
class Learner:
    """A network's structure, the optimiser that trains it and the seed of its dropout; holds no changing state.

    `autocast` is the type of forward passes where it differs from the parameters' (bfloat16), else None.
    """

    module: nn.Module
    optimiser: InnerOptimiser
    seed: int = 0
    autocast: torch.dtype | None = None

    @cached_property
    def stochastic(self) -> bool:
        """Whether a training step draws random numbers: dropout, or a module that says `stochastic = True`."""
        dropouts = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
        return any(isinstance(m, dropouts) or getattr(m, "stochastic", False) for m in self.module.modules())

    def initial_state(self) -> LearnerState:
        """Copies of the module's parameters and buffers, and a fresh optimiser."""
        params = {k: p.detach().clone() for k, p in self.module.named_parameters()}
        buffers = {k: b.detach().clone() for k, b in self.module.named_buffers()}
        return LearnerState(params, buffers, self.optimiser.init(params))


def training_loss(learner: Learner, params: Tensors, buffers: Tensors, batch: Batch, t: int) -> tuple[Tensor, Tensors]:
    """Mean cross-entropy of step `t` (labels soft or hard), and the buffers after it."""
    state = params | {k: b.clone() for k, b in buffers.items()}
    learner.module.train()
    with randomness_of_step(learner, t), arithmetic(learner, batch.x):
        logits = functional_call(learner.module, state, (batch.x,))
        loss = F.cross_entropy(logits, batch.y)
    return loss, {k: state[k] for k in buffers}


def inner_step(
    learner: Learner, state: LearnerState, batch: Batch, hyper: Hyper, t: int, *, create_graph: bool = False
) -> LearnerState:
    """The state after step `t`; with `create_graph` a function of state, batch and hyper to autograd."""
    with torch.enable_grad():
        params = state.params if create_graph else {k: p.detach() for k, p in state.params.items()}
        params = {k: p if p.requires_grad else p.detach().requires_grad_() for k, p in params.items()}
        loss, buffers = training_loss(learner, params, state.buffers, batch, t)
        values = torch.autograd.grad(loss, list(params.values()), create_graph=create_graph, materialize_grads=True)
    gradient = dict(zip(params, values, strict=True))
    with torch.set_grad_enabled(create_graph):
        update = learner.optimiser.update(gradient, state.optimiser, params, hyper)
    if not create_graph:
        buffers = {k: b.detach() for k, b in buffers.items()}
    return LearnerState(update.params, buffers, update.state)


def evaluate(learner: Learner, state: LearnerState, x: Tensor) -> Tensor:
    """Logits [B, K] in evaluation mode: batch norm uses the state's buffers, dropout is off.

    They are float32 where forward passes have a type of their own: bfloat16 has too few digits for sums of losses.
    """
    learner.module.eval()
    with arithmetic(learner, x):
        logits: Tensor = functional_call(learner.module, state.params | state.buffers, (x,))
    return widened(logits, learner.autocast)


def real_loss(learner: Learner, state: LearnerState, batch: Batch) -> Tensor:
    """Mean cross-entropy on real images in evaluation mode: the meta-loss."""
    return F.cross_entropy(evaluate(learner, state, batch.x), batch.y)


@contextmanager
def randomness_of_step(learner: Learner, t: int) -> Iterator[None]:
    """Dropout as a function of (seed, t): a step that is computed again drops the same units.

    Other GPUs than the learner's are not touched: that would take memory there.
    """
    if not learner.stochastic:
        yield
        return
    own = [p.device.index for p in itertools.islice(learner.module.parameters(), 1) if p.is_cuda]
    with torch.random.fork_rng(own, device_type="cuda"):
        for generator in (torch.default_generator, *(torch.cuda.default_generators[index] for index in own)):
            generator.manual_seed(derive(learner.seed, "dropout", t))
        yield


def arithmetic(learner: Learner, x: Tensor) -> torch.autocast:
    """What a forward pass of the learner on `x` runs under: its `autocast`."""
    return autocast(x.device, learner.autocast)
