"""Real processes: alone, under torchrun, under mpiexec, and started by hand with torchrun's variables."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import gtn_hpc
from gtn_hpc.cluster.communicator import SoloCommunicator
from gtn_hpc.cluster.reduction import EVERYTHING, ByStep, FastReduction, layout
from gtn_hpc.cluster.torch_communicator import TorchCommunicator
from gtn_hpc.core.errors import ClusterError

PROGRAM = Path(__file__).with_name("rank_program.py")
LAUNCHERS = {
    "alone": [sys.executable],
    "torchrun": ["torchrun", "--nproc-per-node", "3"],
    "openmpi": ["mpiexec", "-n", "2", sys.executable],
}
WORLDS = {"alone": 1, "torchrun": 3, "openmpi": 2}
ROOT = Path(gtn_hpc.__file__).parents[1]


def seen(directory: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(directory.glob("rank*.json"))]


@pytest.fixture(scope="module")
def outcomes(launch, tmp_path_factory):
    """What the ranks saw, by launcher; each is started once."""
    found = {}
    for name, command in LAUNCHERS.items():
        if shutil.which(command[0]) is not None:
            directory = tmp_path_factory.mktemp(name)
            launch([*command, PROGRAM, "exchange", directory, "120"], timeout=200, environ={"PYTHONPATH": str(ROOT)})
            found[name] = seen(directory)
    return found


@pytest.fixture(params=list(LAUNCHERS))
def outcome(request, outcomes):
    if request.param not in outcomes:
        pytest.skip(f"{LAUNCHERS[request.param][0]} is not installed")
    return request.param, outcomes[request.param]


def test_all_ranks_meet(outcome):
    launcher, ranks = outcome
    assert [(row["launcher"], row["world"]) for row in ranks] == [(launcher, WORLDS[launcher])] * WORLDS[launcher]
    assert all(row["gathered"] == [{"rank": rank} for rank in range(len(ranks))] for row in ranks)


def test_replicas_are_dealt_out_once(outcome):
    _, ranks = outcome
    assert sorted(replica for row in ranks for replica in row["replicas"]) == list(range(8))
    assert all(row["replicas"][0] == rank for rank, row in enumerate(ranks))


def test_the_ordered_mean_has_the_same_bits_for_any_number_of_ranks(outcomes):
    digests = {row[name] for ranks in outcomes.values() for row in ranks for name in ("ordered", "ordered_overlapped")}
    assert len(digests) == 1
    assert len(outcomes) >= 2


def test_the_fast_mean_is_the_same_up_to_rounding(outcome):
    _, ranks = outcome
    assert all(row["fast_error"] < 1e-6 for row in ranks)
    assert all(row["fast_overlapped"] and row["one_replica"] for row in ranks)
    assert all(row["shapes"] == [[4, 200_000], [1_200_000], [3], [4], []] for row in ranks)


def test_flags_and_weights_reach_everybody(outcome):
    _, ranks = outcome
    last = len(ranks) - 1
    assert all(row["any"] == [True, False] for row in ranks)
    assert all(row["broadcast"] == [[[float(last)] * 3] * 2, [[last, 2 + last], [1 + last, 3 + last]]] for row in ranks)


def by_hand(what, directory, world, timeout):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    common = {**os.environ, "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world), "PYTHONPATH": str(ROOT)}
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        subprocess.Popen(
            [sys.executable, PROGRAM, what, directory, str(timeout)],
            env={**common, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.DEVNULL,
        )
        for rank in range(world)
    ]


@pytest.mark.parametrize(("how", "where"), [("SIGSTOP", "a sum"), ("SIGKILL", "'the border of step 3' after 5 s")])
def test_a_rank_that_does_not_come_is_named_by_the_others(tmp_path, how, where):
    processes = by_hand(how, tmp_path, world=3, timeout=10)
    try:
        assert [processes[rank].wait(timeout=120) for rank in (0, 2)] == [0, 0]
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
    ranks = seen(tmp_path)
    assert len(ranks) == 2
    for row in ranks:
        error, again = row["errors"]
        assert f"waited in vain for {where}: rank 1 did not come" in error
        assert "last checkpoint" in error
        assert again == error


def test_a_rank_0_that_hangs_is_named_and_mpi_ends_all(tmp_path, launch):
    if shutil.which("mpiexec") is None:
        pytest.skip("mpiexec is not installed")
    command = ["mpiexec", "-n", "2", sys.executable, PROGRAM, "SIGSTOP", tmp_path, "10"]
    done = launch(command, timeout=180, environ={"PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode != 0
    (row,) = seen(tmp_path)
    assert "rank 0 (or the launcher), which keeps the meeting place, does not answer" in row["errors"][0]


def test_buckets_keep_order_and_never_mix_types():
    like = {"a": torch.zeros(4), "b": torch.zeros(2), "c": torch.zeros(1, dtype=torch.float64), "d": torch.zeros(30)}
    found = [([piece.name for piece in bucket.pieces], bucket.steps) for bucket in layout(like, EVERYTHING, limit=24)]
    assert found == [(["a", "b"], None), (["c"], None), (["d"], None)]
    assert list(layout({}, EVERYTHING)) == []


def test_what_is_final_early_is_sent_from_the_last_step_to_the_second():
    like = {"shared": torch.zeros(3), "latents": torch.zeros(10, 2), "lr": torch.zeros(5)}
    found = [
        (list(map(tuple, bucket.pieces)), bucket.steps) for bucket in layout(like, ByStep({"latents", "lr"}, 5), 48)
    ]
    assert found == [
        ([("latents", 12, 20), ("lr", 3, 5)], 2),
        ([("latents", 4, 12), ("lr", 1, 3)], 4),
        ([("shared", 0, 3), ("latents", 0, 4), ("lr", 0, 1)], None),
    ]


class Started(SoloCommunicator):
    """Notes the size of what is sent, as it is sent."""

    def __init__(self):
        self.sizes = []

    def start_sum(self, flat):
        self.sizes.append(flat.numel())
        return super().start_sum(flat)


def test_sums_start_with_the_last_replica_as_soon_as_their_steps_are_passed():
    communicator, like = Started(), {"shared": torch.zeros(3), "pixels": torch.zeros(4, 2**20)}
    reduction, gradient = (
        FastReduction(communicator, like, 2, ByStep({"pixels"}, 4)),
        {k: v + 1 for k, v in like.items()},
    )
    reduction.passed(3, gradient)
    reduction.add(gradient)
    assert communicator.sizes == [], "the second replica is still to come"
    reduction.passed(1, gradient)
    assert communicator.sizes == [2**20]
    reduction.passed(3, gradient)
    reduction.add(gradient)
    assert communicator.sizes == [2**20] * 3
    assert all(torch.equal(tensor, gradient[name]) for name, tensor in reduction.mean().items())
    assert communicator.sizes == [2**20] * 3 + [3, 2**20]


@pytest.mark.parametrize(("exchange", "name"), [("all_gather", "gather"), ("broadcast", "broadcast")])
def test_every_exchange_is_waited_for_and_a_wait_in_vain_is_an_error(monkeypatch, exchange, name):
    """Over NCCL what is not asynchronous returns before it has happened, and waits for ever on the GPU."""

    class Lost:
        def wait(self):
            raise RuntimeError("timed out")

    def started(*tensors, async_op=False, src=0):
        return Lost() if async_op else None

    with TorchCommunicator(torch.distributed.HashStore(), 0, 1, timeout=5) as communicator:
        monkeypatch.setattr(torch.distributed, exchange, started)
        given = torch.zeros(2) if name == "gather" else [torch.zeros(2)]
        with pytest.raises(ClusterError, match="waited in vain for a"):
            getattr(communicator, name)(given)
        communicator._failed = None


def test_alone_everything_is_at_hand():
    with SoloCommunicator() as communicator:
        weights = torch.arange(3.0)
        communicator.broadcast([weights])
        assert communicator.gather(weights).tolist() == [[0.0, 1.0, 2.0]]
        assert communicator.all_gather("a") == ["a"]
        assert (communicator.any(True), communicator.any(False)) == (True, False)
