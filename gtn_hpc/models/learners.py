"""The learners that a teacher is taught on, with widths drawn per learner (paper section 3.4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gtn_hpc.config.teaching import Learner as LearnerSection
from gtn_hpc.config.teaching import multiples
from gtn_hpc.core.records import ImageShape
from gtn_hpc.models.layers import Conv2d, LeakyReLU, Linear
from gtn_hpc.models.norm import BatchNorm

Widths = tuple[int, ...]


@dataclass(frozen=True)
class LearnerSpec:
    """A drawn learner: its section of the configuration and the widths of its hidden layers."""

    section: LearnerSection
    widths: Widths


class GlobalAveragePool(nn.Module):
    """[B, C, H, W] -> [B, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class MaxPool(nn.Module):
    """2x2 windows; an odd last row or column is kept in a smaller window."""

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            x = x.contiguous(memory_format=torch.channels_last)  # a CPU's max is some ten times as fast this way
        return F.max_pool2d(x, 2, ceil_mode=True)


class _Builder:
    """Makes blocks of layer, norm and leaky ReLU for one section."""

    def __init__(self, section: LearnerSection, image: ImageShape) -> None:
        self.section, self.image = section, image

    def _norm(self, features: int) -> list[nn.Module]:
        kind = self.section.norm
        return [] if kind == "none" else [BatchNorm(features, mean_only=kind == "mean_only")]

    def conv(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
        bias = self.section.norm == "none"
        layer = Conv2d(inputs, outputs, kernel, stride=stride, bias=bias, weight_norm=self.section.weight_norm)
        return [layer, *self._norm(outputs), LeakyReLU()]

    def linear(self, inputs: int, outputs: int) -> list[nn.Module]:
        bias = self.section.norm == "none"
        layer = Linear(inputs, outputs, bias=bias, weight_norm=self.section.weight_norm)
        return [layer, *self._norm(outputs), LeakyReLU()]

    def head(self, inputs: int, classes: int) -> list[nn.Module]:
        drop: list[nn.Module] = [nn.Dropout(self.section.dropout)] if self.section.dropout else []
        section = self.section
        return [*drop, Linear(inputs, classes, weight_norm=section.weight_norm, scale=section.head_scale)]


def _conv2_fc(b: _Builder, w: Widths, classes: int) -> list[nn.Module]:
    pixels = -(-b.image.height // 4) * -(-b.image.width // 4)
    features = [*b.conv(b.image.channels, w[0]), MaxPool(), *b.conv(w[0], w[1]), MaxPool(), nn.Flatten()]
    return [*features, *b.linear(w[1] * pixels, w[2]), *b.head(w[2], classes)]


def _conv2_gap(b: _Builder, w: Widths, classes: int) -> list[nn.Module]:
    features = [*b.conv(b.image.channels, w[0]), MaxPool(), *b.conv(w[0], w[1]), GlobalAveragePool()]
    return [*features, *b.head(w[1], classes)]


def _linear(b: _Builder, w: Widths, classes: int) -> list[nn.Module]:
    pixels = b.image.channels * b.image.height * b.image.width
    return [nn.Flatten(), *b.linear(pixels, w[0]), *b.linear(w[0], w[1]), *b.head(w[1], classes)]


def _conv5(b: _Builder, w: Widths, classes: int) -> list[nn.Module]:
    layers, inputs = [], b.image.channels
    for width, stride in zip(w, (1, 2, 1, 2, 1), strict=True):
        layers += b.conv(inputs, width, stride=stride)
        inputs = width
    return [*layers, GlobalAveragePool(), *b.head(inputs, classes)]


def _conv6(b: _Builder, w: Widths, classes: int) -> list[nn.Module]:
    layers, inputs = [], b.image.channels
    for index, width in enumerate(w):
        layers += b.conv(inputs, width, kernel=1 if index % 2 else 3)
        layers += [MaxPool()] if index in (1, 3) else []
        inputs = width
    return [*layers, GlobalAveragePool(), *b.head(inputs, classes)]


_FAMILIES: dict[str, Callable[[_Builder, Widths, int], list[nn.Module]]] = {
    "conv2-fc": _conv2_fc,
    "conv2-gap": _conv2_gap,
    "linear": _linear,
    "conv5": _conv5,
    "conv6": _conv6,
}


def build_learner(spec: LearnerSpec, image: ImageShape, classes: int) -> nn.Module:
    """The uninitialised network of `spec`: images [B, C, H, W] to logits [B, K]."""
    layers = _FAMILIES[spec.section.family](_Builder(spec.section, image), spec.widths, classes)
    return nn.Sequential(*layers)


def draw_learner(mixture: Sequence[LearnerSection], generator: np.random.Generator) -> LearnerSpec:
    """A family by its weight, then each width uniformly from its range, in multiples of the quantum."""
    weights = np.array([section.weight for section in mixture])
    index = int(generator.choice(len(mixture), p=weights / weights.sum()))
    section = mixture[index]
    return LearnerSpec(section, tuple(_draw(w, section.width_quantum, generator) for w in section.ranges))


def _draw(width: int | tuple[int, int], quantum: int, generator: np.random.Generator) -> int:
    if isinstance(width, int):
        return width
    return int(generator.choice(multiples(*width, quantum)))
