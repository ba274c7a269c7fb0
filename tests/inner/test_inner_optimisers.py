"""The inner optimisers against torch.optim, with rates and momenta that are constant or change every step."""

import itertools

import pytest
import torch

from gtn_hpc.config.teaching import Inner
from gtn_hpc.core.records import Hyper
from gtn_hpc.inner.optimisers import SGD, Adam, InnerOptimiser, RMSProp, make_optimiser, safe_sqrt

SHAPES = {"a": (3, 2), "b": (4,)}


def reference(ours: InnerOptimiser, params: list[torch.Tensor], lr: float, momentum: float) -> torch.optim.Optimizer:
    if isinstance(ours, Adam):
        return torch.optim.Adam(params, lr=lr, betas=(momentum, ours.beta2), eps=ours.eps)
    if isinstance(ours, RMSProp):
        return torch.optim.RMSprop(params, lr=lr, momentum=momentum, alpha=ours.alpha, eps=ours.eps)
    return torch.optim.SGD(params, lr=lr, momentum=momentum)


OPTIONS: list[InnerOptimiser] = [
    SGD(),
    *[RMSProp(alpha, eps) for alpha, eps in itertools.product((0.0, 0.9, 0.99), (1e-8, 1e-3))],
    *[Adam(beta2, eps) for beta2, eps in itertools.product((0.0, 0.9, 0.999), (1e-8, 1e-3))],
]


@pytest.mark.parametrize("changing", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("ours", OPTIONS, ids=repr)
def test_follows_torch(ours: InnerOptimiser, momentum: float, changing: bool) -> None:
    draws = torch.Generator().manual_seed(0)
    params = {k: torch.randn(s, generator=draws, dtype=torch.float64) for k, s in SHAPES.items()}
    theirs = [p.clone().requires_grad_() for p in params.values()]
    optimiser = reference(ours, theirs, 0.1, momentum)
    state = ours.init(params)
    for step in range(6):
        # torch's Adam takes beta1^t: the product of the momenta where it is constant, so there only the rate changes
        lr = 0.1 / (1 + step) if changing else 0.1
        now = momentum * (1 - 0.1 * step) if changing and not isinstance(ours, Adam) else momentum
        for group in optimiser.param_groups:
            group["lr"] = lr
            if "momentum" in group:
                group["momentum"] = now
        gradient = {k: torch.randn(s, generator=draws, dtype=torch.float64) for k, s in SHAPES.items()}
        for p, g in zip(theirs, gradient.values(), strict=True):
            p.grad = g.clone()
        optimiser.step()
        hyper = Hyper(torch.tensor(lr, dtype=torch.float64), torch.tensor(now, dtype=torch.float64))
        params, state = ours.update(gradient, state, params, hyper)
        for p, q in zip(params.values(), theirs, strict=True):
            torch.testing.assert_close(p, q.detach(), rtol=1e-12, atol=1e-13)


def test_root_has_no_slope_at_zero() -> None:
    x = torch.tensor([0.0, 4.0], requires_grad=True)
    (slope,) = torch.autograd.grad(safe_sqrt(x).sum(), x)
    assert slope.tolist() == [0.0, 0.25]


def test_options_come_from_the_configuration() -> None:
    assert isinstance(make_optimiser(Inner()), SGD)
    assert make_optimiser(Inner(optimiser="rmsprop", beta2=0.5, eps=0.1)) == RMSProp(alpha=0.5, eps=0.1)
    assert make_optimiser(Inner(optimiser="adam", beta2=0.5, eps=0.1)) == Adam(beta2=0.5, eps=0.1)
