import pytest
import torch

from gtn_hpc.cluster import device
from gtn_hpc.cluster.communicator import SoloCommunicator
from gtn_hpc.cluster.environment import ALONE, RankEnvironment
from gtn_hpc.core.errors import ClusterError


class Told(SoloCommunicator):
    """A group in which the others said what is given."""

    def __init__(self, *values):
        self.values = values

    def all_gather(self, value):
        return list(self.values)


def rank(local_rank, local_world):
    return RankEnvironment(local_rank, 8, local_rank, local_world, "torchrun")


@pytest.mark.parametrize(
    ("setting", "environment", "gpus", "expected"),
    [
        ("auto", ALONE, 0, "cpu"),
        ("cpu", rank(1, 4), 4, "cpu"),
        ("auto", rank(3, 4), 4, "cuda:3"),
        ("cuda", rank(1, 2), 8, "cuda:1"),
        ("auto", rank(3, 4), 1, "cuda:0"),
        ("cuda:2", ALONE, 4, "cuda:2"),
    ],
)
def test_each_rank_has_its_device(setting, environment, gpus, expected):
    assert device.choose(setting, environment, gpus) == torch.device(expected)


@pytest.mark.parametrize(
    ("setting", "environment", "gpus", "message", "remedy"),
    [
        ("cuda", ALONE, 0, "torch sees no GPU", "run.device=cpu"),
        ("cuda:4", ALONE, 4, r"torch sees 4 GPU\(s\)", "cuda:0 to cuda:3"),
        ("auto", rank(0, 4), 2, "4 ranks share this host and its 2 GPUs: two ranks on one GPU", "at most 2 ranks"),
    ],
)
def test_a_device_that_is_not_to_be_had(setting, environment, gpus, message, remedy):
    with pytest.raises(ClusterError, match=message) as caught:
        device.choose(setting, environment, gpus)
    assert remedy in caught.value.remedy


def test_without_a_gpu_auto_is_the_cpu_of_this_machine():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert device.choose("auto", ALONE).type == expected
    assert device.gpu_identity(torch.device("cpu"), "host") is None


def test_two_ranks_on_one_gpu_are_refused_by_all():
    device.require_own_gpu(Told("a GPU 1", "a GPU 2", "b GPU 1", None, None), None)
    with pytest.raises(ClusterError, match=r"one GPU: a GPU 1: ranks \[0, 2\]") as caught:
        device.require_own_gpu(Told("a GPU 1", "a GPU 2", "a GPU 1"), "a GPU 1")
    assert "--gpus-per-task=1" in caught.value.remedy
