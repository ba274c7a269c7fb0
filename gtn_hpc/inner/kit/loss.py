"""Cross-entropy in the kit: mean over the batch; labels [B, K] are probabilities (of any sum) or [B] classes."""

from typing import NamedTuple

import torch
from torch import Tensor


class Top(NamedTuple):
    """dL/dz [B, K], the probabilities, and the sum of each image's label."""

    dz: Tensor
    probabilities: Tensor
    mass: Tensor


def cross_entropy(z: Tensor, y: Tensor) -> Top:
    p = torch.softmax(z, 1)
    if y.is_floating_point():
        mass = y.sum(1, keepdim=True)
        return Top((p * mass - y) / len(z), p, mass)
    one_hot = (y[:, None] == torch.arange(z.shape[1], device=y.device)).to(z.dtype)
    return Top((p - one_hot) / len(z), p, torch.ones_like(p[:, :1]))


def pull_cross_entropy(top: Top, z_dot: Tensor) -> tuple[Tensor, Tensor]:
    """The derivative of dL/dz along z_dot, and the gradient of <dL/dz, z_dot> with respect to the labels."""
    p, size = top.probabilities, len(z_dot)
    rise = z_dot - (p * z_dot).sum(1, keepdim=True)
    return p * rise * top.mass / size, -rise / size
