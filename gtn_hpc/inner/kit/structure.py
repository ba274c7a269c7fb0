"""Which modules the kit can take: an nn.Sequential of the layers that the paper's learners are made of."""

from dataclasses import dataclass

import torch
from torch import nn

from gtn_hpc.inner.kit.convolution import Convolution
from gtn_hpc.inner.kit.layer import KitLayer
from gtn_hpc.inner.kit.norm import Centre, Norm, ScoredNorm
from gtn_hpc.inner.kit.pointwise import Drop, Flat, GlobalAverage, Leaky, Max
from gtn_hpc.inner.kit.weighted import Dense
from gtn_hpc.models.layers import SLOPE, Conv2d, LeakyReLU, Linear
from gtn_hpc.models.learners import GlobalAveragePool, MaxPool
from gtn_hpc.models.norm import BatchNorm


@dataclass(frozen=True)
class Named:
    """A layer, and the prefix of its parameters and buffers in the module."""

    prefix: str
    layer: KitLayer


def why_not(module: nn.Module, autocast: torch.dtype | None = None) -> str | None:
    """Why the kit cannot take `module`; None if it can."""
    if autocast is not None:
        return "the kit has no mixed precision"
    if type(module) is not nn.Sequential:
        return f"a {type(module).__name__} is no nn.Sequential"
    for layer in module:
        if type(layer) not in _KNOWN:
            return f"the kit has no {type(layer).__name__}"
        if isinstance(layer, BatchNorm) and layer.momentum is not None:
            return "batch norm keeps running statistics"
        if any(layer._forward_hooks) or any(layer._forward_pre_hooks):
            return f"a hook hangs on a {type(layer).__name__}"
    return None


def layers_of(module: nn.Sequential, *, scoring: bool = False) -> list[Named]:
    """The layers of `module`, for training or for scoring."""
    named = [Named(f"{name}.", _layer(child, scoring)) for name, child in module.named_children()]
    if scoring:
        named = [item for item in named if not isinstance(item.layer, Drop)]
    return _pool_first(named)


def _layer(child: nn.Module, scoring: bool) -> KitLayer:
    match child:
        case Conv2d():
            kernel = (child.weight.shape[2], child.weight.shape[3])
            return Convolution(kernel, _pair(child.stride), _pair(child.padding))
        case BatchNorm():
            if scoring:
                return ScoredNorm(child.eps, child.mean_only)
            return Centre() if child.mean_only else Norm(child.eps)
        case nn.Dropout():
            return Drop(child.p)
        case Linear():
            return Dense()
        case LeakyReLU():
            return Leaky(SLOPE)
        case MaxPool():
            return Max()
        case GlobalAveragePool():
            return GlobalAverage()
    return Flat()


_KNOWN = (Conv2d, Linear, BatchNorm, LeakyReLU, MaxPool, GlobalAveragePool, nn.Flatten, nn.Dropout)


def _pool_first(named: list[Named]) -> list[Named]:
    """A rising function changes places with a maximum: leaky ReLU then works on a quarter of the values."""
    ordered = list(named)
    for i in range(len(ordered) - 1):
        if isinstance(ordered[i].layer, Leaky) and isinstance(ordered[i + 1].layer, Max):
            ordered[i], ordered[i + 1] = ordered[i + 1], ordered[i]
    return ordered


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
