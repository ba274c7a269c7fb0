"""NCCL, with the one rank that one GPU allows: what the loop sends goes over it, and comes back as it was."""

import os

import needs
import torch
from torch import distributed as dist

from gtn_hpc.cluster.connect import connect
from gtn_hpc.cluster.environment import ALONE
from gtn_hpc.cluster.reduction import REDUCTIONS, ByStep
from gtn_hpc.cluster.torch_communicator import TorchCommunicator
from gtn_hpc.launch.doctor import ranks

pytestmark = needs.GPU


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


def test_the_doctor_sums_over_nccl_where_each_rank_has_a_gpu():
    device, own = connect("cuda", environment=ALONE).device, ranks.own_gpus(["host GPU 0"])
    assert ranks.device(ALONE) == "auto"
    with TorchCommunicator(dist.HashStore(), 0, 1, timeout=60, nccl=True) as communicator:
        found = ranks.over_nccl(communicator, device, own)
        assert found is not None and found.check == "all-reduce on GPUs" and "over 1 ranks takes" in found.found
        assert ranks.over_nccl(communicator, torch.device("cpu"), own) is None
        assert ranks.over_nccl(communicator, device, ranks.own_gpus(["a GPU 0"] * 2)) is None


def test_sums_that_differ_from_call_to_call_are_off_unless_asked_for(monkeypatch):
    monkeypatch.delenv("NCCL_NVLS_ENABLE", raising=False)
    connect("cuda", environment=ALONE)
    assert os.environ["NCCL_NVLS_ENABLE"] == "0"
    monkeypatch.setenv("NCCL_NVLS_ENABLE", "1")
    connect("cuda", environment=ALONE)
    assert os.environ["NCCL_NVLS_ENABLE"] == "1"
