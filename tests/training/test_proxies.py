"""Zero-cost proxies against computations of other kinds: finite differences, NumPy, closed forms."""

import copy
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from gtn_hpc.core.streams import torch_generator
from gtn_hpc.models.layers import Conv2d, Linear, initialise
from gtn_hpc.models.norm import BatchNorm
from gtn_hpc.training.proxies import EPSILON, jacobian_covariance, synflow

BATCH, SIDE, STEP = 5, 4, 1e-6
Array = NDArray[np.float64]


def tiny(*, norm: bool = True) -> nn.Module:
    """Convolution, batch norm, ReLU, linear layer: in float64, for differences to be exact to ten digits."""
    between = [BatchNorm(3)] if norm else []
    layers = nn.Sequential(Conv2d(1, 3, 3, padding=1), *between, nn.ReLU(), nn.Flatten(), Linear(3 * SIDE**2, 4))
    return initialise(layers, torch_generator(0, "tiny")).double()


def images() -> torch.Tensor:
    return torch.randn(BATCH, 1, SIDE, SIDE, generator=torch_generator(0, "images"), dtype=torch.float64)


@torch.no_grad()
def slope(function: object, values: torch.Tensor) -> Array:
    """Central differences of `function()`, a number, in each of `values`, which are changed in place and put back."""
    flat, found = values.view(-1), []
    for place in range(len(flat)):
        kept, sides = flat[place].item(), []
        for move in (STEP, -STEP):
            flat[place] = kept + move
            sides.append(float(function()))  # type: ignore[operator]
        flat[place] = kept
        found.append((sides[0] - sides[1]) / (2 * STEP))
    return np.array(found)


def covariance_by_differences(module: nn.Module, x: torch.Tensor) -> float:
    """Mellor et al. 2020, first version, in NumPy: the Jacobian by differences, and its correlations' spectrum."""
    x, module = x.clone(), copy.deepcopy(module).train()
    jacobian = slope(lambda: module(x).sum(), x).reshape(len(x), -1)
    centred = jacobian - jacobian.mean(1, keepdims=True)
    unit = centred / np.sqrt((centred**2).sum(1, keepdims=True))
    spectrum = np.linalg.svd(unit, compute_uv=False) ** 2 + EPSILON
    return float(-(np.log(spectrum) + 1 / spectrum).sum())


def synflow_by_differences(module: nn.Module) -> float:
    """Tanaka et al. 2020: what scaling each positive parameter would change of the flow of an image of ones."""
    module = copy.deepcopy(module).eval()
    ones = torch.ones(1, 1, SIDE, SIDE, dtype=torch.float64)
    for parameter in module.parameters():
        parameter.data.abs_()
    total = sum(
        np.abs(slope(lambda: module(ones).sum(), parameter.data) * parameter.data.flatten().numpy()).sum()
        for parameter in module.parameters()
    )
    return math.log(total)


@pytest.mark.parametrize("norm", [True, False], ids=["with batch norm", "without"])
def test_jacobian_covariance_is_that_of_finite_differences(norm: bool) -> None:
    module = tiny(norm=norm)
    assert jacobian_covariance(module, images()) == pytest.approx(covariance_by_differences(module, images()), rel=1e-4)


@pytest.mark.parametrize("norm", [True, False], ids=["with batch norm", "without"])
def test_synflow_is_that_of_finite_differences(norm: bool) -> None:
    module = tiny(norm=norm)
    assert synflow(module, images()) == pytest.approx(synflow_by_differences(module), abs=1e-7)


def test_synflow_of_linear_layers_is_their_number_times_the_flow() -> None:
    layers = [nn.Linear(SIDE**2, 6, bias=False), nn.Linear(6, 3, bias=False)]
    first, second = (layer.weight.detach().abs().double() for layer in layers)
    flow = float((second @ first).sum())
    found = synflow(nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1]), images().float())
    assert found == pytest.approx(math.log(2 * flow), abs=1e-12)


def test_images_that_a_network_cannot_tell_apart_score_lowest() -> None:
    module, x = tiny(norm=False), images()
    same = x[:1].expand_as(x)
    assert jacobian_covariance(module, same) < jacobian_covariance(module, x)
    constant = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 3))
    nn.init.zeros_(constant[1].weight)
    assert jacobian_covariance(constant, x.float()) == -math.inf
    assert synflow(constant, x.float()) == pytest.approx(math.log(constant[1].bias.abs().sum().item()), abs=1e-6)


def test_the_network_stays_as_it_was() -> None:
    module = tiny()
    before = copy.deepcopy(module.state_dict())
    synflow(module, images()), jacobian_covariance(module, images())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert module.training and all(parameter.grad is None for parameter in module.parameters())
