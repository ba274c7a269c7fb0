"""Zero-cost proxies: numbers of an untrained network that may tell how well it will learn."""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

EPSILON = 1e-5


def proxies(names: Sequence[str], module: nn.Module, x: Tensor) -> dict[str, float]:
    """The named proxies of `module` at its initialisation, which stays as it is, on images `x` [B, C, H, W], here those
    of a curriculum's first batch."""
    return {name: PROXIES[name](module, x) for name in names}


def synflow(module: nn.Module, x: Tensor) -> float:
    """log of the summed synaptic saliency |theta dR/dtheta| of an image of ones, with all parameters made positive.

    Tanaka et al. 2020 as used by Abdelfattah et al. 2021, in float64 and with the batch norm of a fresh network. Unlike
    there the sum is over all parameters: scales of batch norm, and directions and gains of weight norm, are in it.
    """
    linear = copy.deepcopy(module).double().eval()
    parameters = list(linear.parameters())
    with torch.no_grad():
        for parameter in parameters:
            parameter.abs_()
    flow = linear(torch.ones_like(x[:1], dtype=torch.float64)).sum()
    gradients = torch.autograd.grad(flow, parameters, materialize_grads=True)
    total = sum(float((p.detach() * g).abs().sum()) for p, g in zip(parameters, gradients, strict=True))
    return math.log(total) if total > 0 else -math.inf


def jacobian_covariance(module: nn.Module, x: Tensor) -> float:
    """How differently an untrained network reacts to different images (Mellor et al. 2020, first version).

    Minus the sum over eigenvalues v of the images' gradient correlation matrix of log(v + k) + 1 / (v + k); higher is
    better, O(B^3) in the batch.
    """
    x = x.detach().clone().requires_grad_()
    (jacobian,) = torch.autograd.grad(copy.deepcopy(module).train()(x).sum(), x)
    correlation = torch.corrcoef(jacobian.flatten(1).double())
    if not bool(torch.isfinite(correlation).all()):
        return -math.inf
    eigenvalues = torch.linalg.eigvalsh(correlation) + EPSILON
    return -float((eigenvalues.log() + 1 / eigenvalues).sum())


PROXIES = {"synflow": synflow, "jacobian_covariance": jacobian_covariance}
