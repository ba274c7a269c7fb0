"""The kit's adjoint: both passes of training and their derivative along the update's cotangent."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gtn_hpc.core.records import Batch
from gtn_hpc.inner.adjoint import Adjoint, Judged, Pulled, Step, Stepped
from gtn_hpc.inner.flat import FlatLearner, FlatState
from gtn_hpc.inner.kit.layer import Needs
from gtn_hpc.inner.kit.loss import Top, cross_entropy, pull_cross_entropy
from gtn_hpc.inner.kit.structure import Named, layers_of
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.inner.step import randomness_of_step


class Kit(Adjoint):
    """Of <u, g>, g the gradient of the training loss: forward, backward and their derivative along u.

    The primal gradient of the weights is made only where weight norm or the optimiser's adjoint needs it.
    """

    @torch.no_grad()
    def advance(self, learner: FlatLearner, state: FlatState, step: Step, *, record: bool = False) -> Stepped:  # noqa: ARG002
        p, walk = learner.params(state.theta), Walk(learner, step)
        top = walk.forward(p, step.batch)
        gradient = learner.pack_params(walk.backward(p, top.dz))
        return Stepped(learner.update(gradient, state, walk.buffers(state.buffers), step.hyper))

    @torch.no_grad()
    def pull_back(
        self,
        learner: FlatLearner,
        before: FlatState,
        after: FlatState,
        step: Step,
        cotangent: FlatState,
        tape: Any,  # noqa: ARG002
    ) -> Pulled:
        p, walk = learner.params(before.theta), Walk(learner, step)
        top = walk.forward(p, step.batch)
        gradient = learner.gradient_between(before, after, step.hyper)
        if gradient is None:
            gradient = learner.pack_params(walk.backward(p, top.dz))
        update = learner.pull_update(gradient, before, step.hyper, cotangent)
        u = learner.params(update.gradient)
        z_dot = walk.tangent(p, u)
        dz_dot, dy = pull_cross_entropy(top, z_dot)
        x, params = walk.pull(p, u, top.dz, dz_dot, cotangent.buffers)
        theta = update.state.theta + learner.pack_params(params)
        wants_x, wants_y = (v.requires_grad for v in step.batch)
        inputs = (x if wants_x else None, dy if wants_y else None, *update.hyper)
        return Pulled(FlatState(theta, {}, update.state.optimiser), inputs)

    @torch.no_grad()
    def judge(self, learner: FlatLearner, state: FlatState, real: Batch) -> Judged:
        p = learner.params(state.theta) | state.buffers
        named = layers_of(_sequential(learner), scoring=True)
        x, saved = _laid_out(real.x), []
        for item in named:
            x, kept = item.layer.forward(_local(p, item), x)
            saved.append(kept)
        gradient = _backward(named, saved, p, cross_entropy(x, real.y).dz)
        buffers = {k: gradient[k] for k in state.buffers if k in gradient}
        return Judged(F.cross_entropy(x, real.y), FlatState(learner.pack_params(gradient), buffers))


class Walk:
    """One training step's passes through the layers, and their derivatives."""

    def __init__(self, learner: FlatLearner, step: Step) -> None:
        self.learner, self.step = learner.learner, step
        self.named = layers_of(_sequential(learner))
        self.saved: list[Any] = []
        self.dots: list[Any] = []
        weighted = [i for i, item in enumerate(self.named) if _has_parameters(learner, item)]
        self.first = weighted[0] if weighted else 0

    def forward(self, p: Tensors, batch: Batch) -> Top:
        x = _laid_out(batch.x)
        with randomness_of_step(self.learner, self.step.t):
            for item in self.named:
                x, kept = item.layer.forward(_local(p, item), x)
                self.saved.append(kept)
        return cross_entropy(x, batch.y)

    def backward(self, p: Tensors, dz: Tensor) -> Tensors:
        return _backward(self.named, self.saved, p, dz, self.first)

    def buffers(self, before: Tensors) -> Tensors:
        """The buffers after the step; those that no layer writes stay."""
        after = dict(before)
        for item, kept in zip(self.named, self.saved, strict=True):
            after |= {item.prefix + k: v for k, v in item.layer.buffers(kept).items()}
        return after

    def tangent(self, p: Tensors, u: Tensors) -> Tensor:
        x: Tensor | None = None
        for item, kept in zip(self.named, self.saved, strict=True):
            x, dots = item.layer.tangent(_local(p, item), _local(u, item), kept, x)
            self.dots.append(dots)
        assert x is not None, "a learner without parameters"
        return x

    def pull(self, p: Tensors, u: Tensors, dz: Tensor, dz_dot: Tensor, given: Tensors) -> tuple[Tensor | None, Tensors]:
        """The cotangents of the images and of the parameters, `given` being those of the buffers."""
        found: Tensors = {}
        value: Tensor | None = dz
        dot: Tensor | None = dz_dot
        for i in reversed(range(self.first, len(self.named))):
            item, kept = self.named[i], self.saved[i]
            assert value is not None and dot is not None
            needs = Needs(value=i > self.first, dot=i > self.first or self.step.batch.x.requires_grad)
            (value, dot), params = item.layer.pull(
                _local(p, item), _local(u, item), kept, self.dots[i], value, dot, needs
            )
            found |= {item.prefix + k: v for k, v in params.items()}
            local = _local(given, item)
            if local and dot is not None:
                dot = item.layer.pull_buffers(kept, dot, local)
        for item, kept in zip(reversed(self.named[: self.first]), reversed(self.saved[: self.first]), strict=True):
            dot = None if dot is None else item.layer.backward({}, kept, dot, needs_x=True).x
        return dot, found


def _backward(named: list[Named], saved: list[Any], p: Tensors, dy: Tensor | None, first: int = 0) -> Tensors:
    found: Tensors = {}
    for i in reversed(range(first, len(named))):
        assert dy is not None
        dy, params = named[i].layer.backward(_local(p, named[i]), saved[i], dy, needs_x=i > first)
        found |= {named[i].prefix + k: v for k, v in params.items()}
    return found


def _local(values: Tensors, item: Named) -> Tensors:
    size = len(item.prefix)
    return {k[size:]: v for k, v in values.items() if k.startswith(item.prefix)}


def _laid_out(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _sequential(learner: FlatLearner) -> nn.Sequential:
    module = learner.learner.module
    assert isinstance(module, nn.Sequential)
    return module


def _has_parameters(learner: FlatLearner, item: Named) -> bool:
    return any(k.startswith(item.prefix) for k in learner.shapes)
