import itertools

import numpy as np
import pytest

from gtn_hpc.core import streams


def test_streams_are_the_same_for_ever():
    assert streams.derive(0, "learner") == 3322990215836309094
    assert streams.derive(7, "learner", 3, "widths") == 7272623818086115955
    assert streams.numpy_rng(7, "widths", 1).integers(0, 1000, 4).tolist() == [507, 589, 546, 654]


def test_torch_draws_the_same_on_every_cpu():
    torch = pytest.importorskip("torch")
    drawn = torch.randn(3, generator=streams.torch_generator(7, "latents", 2)).tolist()
    assert drawn == pytest.approx([-1.17574, -1.12626, 1.08439], abs=1e-5)


def test_every_argument_makes_another_stream():
    arguments = itertools.product(range(4), ["a", "b", "a/1", "a,1"], [(), (1,), ("1",), (1, 1), (11,), (1, "")])
    seeds = [streams.derive(seed, name, *indices) for seed, name, indices in arguments]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_numpy_index_is_an_index():
    assert streams.derive(0, "learner", np.int64(3)) == streams.derive(0, "learner", 3)


@pytest.mark.parametrize("pair", [(("a", 0), ("a", 1)), (("a",), ("b",))])
def test_streams_are_uncorrelated(pair):
    x, y = (streams.numpy_rng(0, *arguments).standard_normal(20_000) for arguments in pair)
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.03


def test_a_stream_leaves_global_state_alone():
    torch = pytest.importorskip("torch")
    before = torch.get_rng_state()
    torch.rand(5, generator=streams.torch_generator(1, "a"))
    assert torch.equal(torch.get_rng_state(), before)
