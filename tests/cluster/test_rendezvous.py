import ipaddress
import socket
import sys

import pytest

from gtn_hpc.cluster import rendezvous
from gtn_hpc.cluster.environment import Master, RankEnvironment
from gtn_hpc.core.errors import ClusterError

ALONE_UNDER_MPI = "from gtn_hpc.cluster import mpi; mpi.abort(3); mpi.broadcast(1, expected={})"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_nobody_at_the_meeting_place():
    lonely = RankEnvironment(1, 2, 1, 2, "slurm", Master("127.0.0.1", free_port()))
    with pytest.raises(ClusterError, match=r"Rank 1 of 2 \(slurm\) found no meeting place") as caught:
        rendezvous.meet(lonely, timeout=1)
    assert "MASTER_ADDR" in caught.value.remedy


def test_a_meeting_place_that_is_taken():
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        first = RankEnvironment(0, 2, 0, 2, "slurm", Master("127.0.0.1", other.getsockname()[1]))
        with pytest.raises(ClusterError, match="Rank 0 of 2"):
            rendezvous.meet(first, timeout=1)


def test_each_meeting_has_keys_of_its_own():
    master = Master("127.0.0.1", free_port())
    first = rendezvous.meet(RankEnvironment(0, 2, 0, 2, "slurm", master), timeout=60)
    first.set("at/0", "1")
    later = rendezvous.meet(RankEnvironment(1, 2, 1, 2, "slurm", master), timeout=60)
    assert first.check(["at/0"])
    assert not later.check(["at/0"])


def test_an_address_for_other_hosts_is_one():
    assert rendezvous.own_address(reached_from_other_hosts=False) == "127.0.0.1"
    address = rendezvous.own_address(reached_from_other_hosts=True)
    try:
        assert not ipaddress.ip_address(address).is_unspecified
    except ValueError:
        assert address == socket.gethostname()


def test_another_mpi_than_the_launchers_is_noticed(launch):
    pytest.importorskip("mpi4py")
    assert launch([sys.executable, "-c", ALONE_UNDER_MPI.format(1)]).returncode == 0
    done = launch([sys.executable, "-c", ALONE_UNDER_MPI.format(2)], check=False)
    assert "ClusterError: The launcher started 2 processes, but mpi4py sees 1" in done.stderr


def test_a_missing_mpi4py_is_told_with_the_remedy(launch):
    program = "import sys; sys.modules['mpi4py'] = None\n" + ALONE_UNDER_MPI.format(2)
    done = launch([sys.executable, "-c", program], check=False)
    assert "ClusterError: mpi4py cannot be used" in done.stderr
    assert "start with torchrun" in done.stderr
