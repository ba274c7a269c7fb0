"""NCCL, with the one rank that one GPU allows: what the loop sends goes over it, and comes back as it was."""

import pytest
import torch
from torch import distributed as dist

from gtn_hpc.cluster.reduction import REDUCTIONS, ByStep
from gtn_hpc.cluster.torch_communicator import TorchCommunicator

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU; benchmarks/2026-11-26-gpu.md")


def test_one_rank_over_nccl_sums_gathers_broadcasts_and_tells():
    gradient = {"a": torch.randn(4, 70_000, device="cuda"), "b": torch.randn(3, device="cuda", dtype=torch.float64)}
    with TorchCommunicator(dist.HashStore(), 0, 1, timeout=60, nccl=True) as communicator:
        for reduction in REDUCTIONS.values():
            found = reduction(communicator, gradient, 1, ByStep({"a"}, 4))
            found.add(gradient)
            for name, mean in found.mean().items():
                assert mean.is_cuda and torch.equal(mean, gradient[name])
        communicator.broadcast(list(gradient.values()))
        communicator.require_equal(gradient, "at the end")
        assert communicator.any(True) and not communicator.any(False)
        assert communicator.all_gather({"rank": 0}) == [{"rank": 0}]
        assert torch.equal(communicator.gather(gradient["b"])[0], gradient["b"])
