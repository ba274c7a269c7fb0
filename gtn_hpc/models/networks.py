"""The network of an architecture: its plan, realised layer by layer."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gtn_hpc.config.searching import Space as SpaceSection
from gtn_hpc.core.errors import ConfigError
from gtn_hpc.core.records import Architecture, ImageShape
from gtn_hpc.models.layers import Conv2d, LeakyReLU, Linear
from gtn_hpc.models.networks_operations import Average, AvgPool, Concat, Drop, MaxPool, Shift, Sum, Zero
from gtn_hpc.models.norm import BatchNorm
from gtn_hpc.spaces import make_space
from gtn_hpc.spaces import plan as layers
from gtn_hpc.spaces.plan import Plan
from gtn_hpc.spaces.space import CELLS_ONLY


class Outputs(NamedTuple):
    """What a network with an auxiliary head returns while training: two sets of logits [B, K]."""

    logits: Tensor
    auxiliary: Tensor


class Network(nn.Module):
    """Images [B, C, H, W] to logits [B, K], by the steps of a plan; works under `functional_call`.

    Built with an auxiliary head it returns `Outputs` while training and plain logits in evaluation, where the head
    is not computed. Drop-path of probability `drop_path` in the last cell rises linearly with depth (NAO), and may
    be changed between steps. A `generator` set here feeds every dropout and drop-path mask.
    """

    def __init__(self, plan: Plan, *, dropout: float = 0.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.plan = plan
        self.steps = nn.ModuleList(_realise(step.layer, dropout) for step in plan.steps)
        self._release = last_uses([step.inputs for step in plan.steps])
        self.drop_path, self.generator = drop_path, None

    @property
    def drop_path(self) -> float:
        return self._drop_path

    @drop_path.setter
    def drop_path(self, probability: float) -> None:
        self._drop_path = probability
        for step, module in zip(self.plan.steps, self.steps, strict=True):
            if isinstance(step.layer, layers.DropPath) and isinstance(module, Drop):
                module.p = probability * step.layer.depth

    @property
    def generator(self) -> torch.Generator | None:
        return self._generator

    @generator.setter
    def generator(self, generator: torch.Generator | None) -> None:
        self._generator = generator
        for layer in self.modules():
            if isinstance(layer, Drop):
                layer.generator = generator

    def forward(self, x: Tensor) -> Tensor | Outputs:
        values = {0: x}
        head = self.training and self.plan.auxiliary is not None
        for index in range(len(self.steps) if head else self.plan.output):
            inputs = [values[value] for value in self.plan.steps[index].inputs]
            values[index + 1] = self.steps[index](*inputs)
            for value in self._release[index]:
                del values[value]
        logits = values[self.plan.output]
        return Outputs(logits, values[len(self.steps)]) if head else logits


def last_uses(steps: Sequence[Sequence[int]], keep: int | None = None) -> list[list[int]]:
    """For every step, given by the values it takes, those that no later one takes: dropped, to bound memory."""
    last = {value: index for index, inputs in enumerate(steps) for value in inputs if value != keep}
    return [[value for value in set(inputs) if last.get(value) == index] for index, inputs in enumerate(steps)]


def _realise(layer: layers.Layer, dropout: float) -> nn.Module:
    match layer:
        case layers.Conv(inputs, outputs, kernel, stride, bias, weight_norm):
            return Conv2d(inputs, outputs, kernel, stride=stride, bias=bias, weight_norm=weight_norm)
        case layers.Linear(inputs, outputs, bias, weight_norm):
            return nn.Sequential(nn.Flatten(), Linear(inputs, outputs, bias=bias, weight_norm=weight_norm))
        case layers.Norm(features):
            return BatchNorm(features)
        case layers.Activation():
            return LeakyReLU()
        case layers.Pool(kind, kernel, stride):
            return (MaxPool if kind == "max" else AvgPool)(kernel, stride)
        case layers.Average(size):
            return Average(size)
        case layers.Dropout():
            return Drop(dropout, whole_sample=False)
        case layers.DropPath():
            return Drop(0.0, whole_sample=True)
        case layers.Shift():
            return Shift()
        case layers.Sum():
            return Sum()
        case layers.Concat():
            return Concat()
        case layers.Zero():
            return Zero()


def build_network(
    section: SpaceSection,
    arch: Architecture,
    image: ImageShape,
    classes: int,
    *,
    dropout: float = 0.0,
    drop_path: float = 0.0,
    auxiliary: bool = False,
) -> Network:
    """The uninitialised network of the canonical form of `arch`, at the N and F of its space's section.

    Layers of `conv` and `chain` have weight norm, as the paper's learners; cell networks have none, for every
    convolution of theirs stands before batch norm. `dropout` (probability) stands before the classifier. Without
    auxiliary head it has exactly `Space.params` parameters.

    Raises:
        ArchitectureError: `arch` is not valid in its space.
        ConfigError: drop-path or an auxiliary head is asked of a network that is not one of cells.
    """
    network_plan = make_space(section, image, classes).plan(arch, auxiliary=auxiliary)
    if drop_path and not any(isinstance(step.layer, layers.DropPath) for step in network_plan.steps):
        raise ConfigError(f"drop-path on a network of space {arch.space}", remedy=CELLS_ONLY)
    return Network(network_plan, dropout=dropout, drop_path=drop_path)
