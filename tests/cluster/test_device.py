import pytest
import torch

from gtn_hpc.cluster import device
from gtn_hpc.cluster.communicator import SoloCommunicator
from gtn_hpc.cluster.environment import ALONE, RankEnvironment
from gtn_hpc.cluster.seat import Seat, seat_under_manager
from gtn_hpc.config import parse
from gtn_hpc.core.errors import ClusterError
from gtn_hpc.core.records import ImageShape
from gtn_hpc.farm.memory import fair_share
from gtn_hpc.search.work import Scoring
from gtn_hpc.training.header import Header
from gtn_hpc.training.setting import Setting


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
    assert "--ntasks-per-node=N --gpus-per-node=N --gpu-bind=none" in caught.value.remedy


def test_gpus_beside_cpus_are_refused_by_all():
    here = torch.device("cpu")
    device.require_one_kind(Told(("cpu", "a"), ("cpu", "b")), here)
    with pytest.raises(ClusterError, match="torch sees none for rank 1 on b, rank 3 on b") as caught:
        device.require_one_kind(Told(("cuda", "a"), ("cpu", "b"), ("cuda", "a"), ("cpu", "b")), here)
    assert "run.device=cpu" in caught.value.remedy


def seats(world, hosts):
    """Of the workers of a search over MPI, whose ranks fill one host after another; the first rank is no worker."""
    here = world // hosts
    ranks = [RankEnvironment(rank, world, rank % here, here, "openmpi") for rank in range(world)]
    return [seat_under_manager(environment) for environment in ranks[1:]]


@pytest.mark.parametrize(
    ("world", "hosts", "gpus", "places", "sharers"),
    [
        (5, 1, 4, [0, 1, 2, 3], [1, 1, 1, 1]),
        (4, 1, 4, [0, 1, 2], [1, 1, 1]),
        (5, 1, 1, [0, 0, 0, 0], [4, 4, 4, 4]),
        (6, 1, 2, [0, 1, 0, 1, 0], [3, 2, 3, 2, 3]),
        (8, 2, 4, [0, 1, 2, 0, 1, 2, 3], [1] * 7),
    ],
)
def test_workers_under_a_manager_are_dealt_out_to_the_gpus_of_their_host(world, hosts, gpus, places, sharers):
    found = seats(world, hosts)
    assert [device.choose_shared("auto", seat, gpus).index for seat in found] == places
    assert [seat.sharers(gpus, gpus) for seat in found] == sharers


def test_ranks_dealt_out_to_hosts_in_turn_share_no_gpu_more_than_needed():
    cyclic = [RankEnvironment(rank, 8, rank // 2, 4, "slurm") for rank in range(8)]
    assert [seat_under_manager(environment).gpu(4) for environment in cyclic[1::2]] == [0, 1, 2, 3]
    assert [seat_under_manager(environment).gpu(4) for environment in cyclic[2::2]] == [1, 2, 3]


def test_a_gpu_bound_to_each_process_is_shared_by_the_workers_of_that_process_alone():
    bound = [Seat(process, 4, worker, 2) for process in range(4) for worker in range(2)]
    assert {seat.gpu(1) for seat in bound} == {0}
    assert {seat.sharers(1, present=4) for seat in bound} == {2}
    assert {seat.sharers(1, present=1) for seat in bound} == {8}


def test_processes_of_one_gpu_leave_room_for_each_other_s_context():
    memory = 80 << 30
    assert device.part(1, memory) == 1
    for together in (2, 9, 40):
        taken = device.part(together, memory) * memory + (700 << 20)
        assert taken == pytest.approx(memory / together)
    assert device.part(4, 2 << 30) == 1 / 8  # a small GPU: half of a share at least
    assert device.enter(torch.device("cpu")) == torch.device("cpu")


def test_workers_of_one_process_are_dealt_out_too():
    found = [Seat(worker=worker, workers=3) for worker in range(3)]
    assert [device.choose_shared("cuda", seat, 2) for seat in found] == [
        torch.device("cuda", 0), torch.device("cuda", 1), torch.device("cuda", 0),
    ]  # fmt: skip
    assert [seat.sharers(2, present=2) for seat in found] == [2, 1, 2]
    assert [device.choose_shared(setting, found[1], 4).type for setting in ("cpu", "cuda:3")] == ["cpu", "cuda"]
    with pytest.raises(ClusterError, match="torch sees no GPU"):
        device.choose_shared("cuda", found[0], 0)


@pytest.fixture
def scoring(tmp_path):
    """What workers do, by the search section of a configuration."""

    def of(search, **options):
        config = parse(f"run: {{name: a}}\nsearch: {search}")
        header = Header(ImageShape(1, 8, 8), 10, 3, "0" * 64, config.inner)
        return Scoring(Setting(config, tmp_path / "curriculum.h5", header), tmp_path, "1", **options)

    return of


def test_memory_is_shared_with_the_other_ranks_of_the_host(scoring, monkeypatch):
    for name, value in {"RANK": 2, "SIZE": 5, "LOCAL_RANK": 2, "LOCAL_SIZE": 5}.items():
        monkeypatch.setenv(f"OMPI_COMM_WORLD_{name}", str(value))
    managed, shard = scoring("{}", managed=True), scoring("{workers: 2}")
    assert (managed._seat(2), shard._seat(5)) == (Seat(1, 4), Seat(2, 5, 1, 2))
    for work, rank, workers in ((managed, 2, 4), (shard, 5, 10)):
        bytes_ = work._bounds(work._seat(rank)).bytes
        assert workers * bytes_ == pytest.approx(fair_share(1), rel=0.3)
    assert scoring("{limits: {bytes: 5}}")._bounds(Seat(1, 4)).bytes == 5
