"""Streams of real batches, as episodes: batch t is a function of (seed, t), so a run can be taken up anywhere."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gtn_hpc.config.teaching import Augment
from gtn_hpc.core.records import Batch, Hyper
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.data import ImageSet


@dataclass(frozen=True, eq=False)
class RealBatches:
    """`steps` batches of `size` images of a set, drawn freshly; `lr` and `momentum` are scalars or one a step [T]."""

    images: ImageSet
    size: int
    steps: int
    seed: int
    lr: Tensor
    momentum: Tensor
    augment: Augment | None = None

    def batch(self, t: int) -> Batch:
        generator = torch_generator(self.seed, "real-batch", t)
        return self.images.sample(self.size, generator, self.augment)

    def hyper(self, t: int) -> Hyper:
        return Hyper(_at(self.lr, t), _at(self.momentum, t))


def constant(value: float, like: Tensor) -> Tensor:
    return torch.full((), value, dtype=like.dtype, device=like.device)


def cosine(start: float, steps: int, like: Tensor) -> Tensor:
    """Rates [T] that fall from `start` towards 0 along half a cosine."""
    rates = [start * half_cosine(t, steps) for t in range(steps)]
    return torch.tensor(rates, dtype=like.dtype, device=like.device)


def half_cosine(done: int, steps: int) -> float:
    """From 1 at the beginning to 0 after all `steps`, along half a cosine (Loshchilov and Hutter 2017)."""
    return (1 + math.cos(math.pi * done / steps)) / 2


def _at(values: Tensor, t: int) -> Tensor:
    return values[t] if values.dim() else values
