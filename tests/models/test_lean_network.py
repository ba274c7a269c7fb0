"""The lean arrangement of a network: the same function and the same gradients, in every space."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gtn_hpc.config import parse
from gtn_hpc.core.records import ImageShape
from gtn_hpc.models.layers import initialise
from gtn_hpc.models.lean import LeanNetwork
from gtn_hpc.models.networks import Network, build_network
from gtn_hpc.models.norm import use_running_statistics
from gtn_hpc.spaces import make_space

SPACES = [
    "{name: nao_cell, cells: 1, filters: 3, nodes: 3}",
    "{name: nasbench201, cells: 1, filters: 4}",
    "{name: chain}",
    "{name: conv}",
]
IMAGE = ImageShape(1, 9, 9)


def network(text: str, seed: int) -> Network:
    section = parse(f"run: {{name: lean}}\nsearch: {{space: {text}}}").search.space
    space = make_space(section, IMAGE, 4)
    arch = space.canonical(space.sample(np.random.default_rng(seed)))
    made = build_network(section, arch, IMAGE, 4)
    initialise(made.double(), torch.Generator().manual_seed(seed))
    return made


@pytest.mark.parametrize("momentum", [None, 0.1])
@pytest.mark.parametrize("text", SPACES)
def test_logits_gradients_and_statistics_are_those_of_the_network(text: str, momentum: float | None) -> None:
    for seed in range(3):
        plain = network(text, seed)
        use_running_statistics(plain, momentum)
        lean = LeanNetwork(copy.deepcopy(plain))
        x = torch.randn(6, 1, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        for made in (plain, lean):
            F.cross_entropy(made.train()(x), torch.arange(6) % 4).backward()
        found, expected = (dict(made.named_parameters()) for made in (lean, plain))
        assert list(found) == list(expected)
        for name, parameter in expected.items():
            torch.testing.assert_close(found[name].grad, parameter.grad, rtol=1e-9, atol=1e-11)
        for name, buffer in plain.named_buffers():
            torch.testing.assert_close(dict(lean.named_buffers())[name], buffer, rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(lean.eval()(x), plain.eval()(x), rtol=1e-9, atol=1e-11)


def test_equal_layers_run_once_and_norms_are_folded() -> None:
    made = network("{name: nao_cell, cells: 1, filters: 2}", 0)
    lean = LeanNetwork(made)
    assert len(lean.schedule) < made.plan.output
    assert lean.folded
