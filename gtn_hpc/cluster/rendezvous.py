"""Where the ranks meet: a key-value store in rank 0 (under torchrun: in its agent), which all others find."""

import itertools
import os
import socket
from datetime import timedelta

from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from gtn_hpc.cluster import mpi
from gtn_hpc.cluster.environment import Master, RankEnvironment
from gtn_hpc.core.errors import ClusterError

_MEETINGS = itertools.count()
"""A process may meet the others more than once; each time the keys have a prefix of their own."""


def meet(environment: RankEnvironment, timeout: float) -> Store:
    """The store of all ranks of `environment`; waits up to `timeout` seconds for them.

    Raises:
        ClusterError: the others cannot be reached.
    """
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    prefix = f"gtn/{attempt}/{next(_MEETINGS)}"
    try:
        return PrefixStore(prefix, _store(environment, timedelta(seconds=timeout)))
    except RuntimeError as error:
        raise ClusterError(
            f"Rank {environment.rank} of {environment.world} ({environment.launcher}) found no meeting place: {error}.",
            remedy="Node names have to resolve and ports to be open; MASTER_ADDR and MASTER_PORT set another place.",
        ) from error


def _store(environment: RankEnvironment, timeout: timedelta) -> TCPStore:
    if environment.master is None:
        return _store_over_mpi(environment, timeout)
    agent_serves = environment.launcher == "torchrun" and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return _open(environment.master, environment, timeout, serves=environment.rank == 0 and not agent_serves)


def _store_over_mpi(environment: RankEnvironment, timeout: timedelta) -> TCPStore:
    """Rank 0 serves at a port that its system gave it, and tells the others."""
    if environment.rank != 0:
        return _open(mpi.broadcast(Master("", 0), environment.world), environment, timeout, serves=False)
    address = own_address(reached_from_other_hosts=environment.local_world < environment.world)
    store = _open(Master(address, 0), environment, timeout, serves=True)
    mpi.broadcast(Master(address, store.port), environment.world)
    return store


def _open(master: Master, environment: RankEnvironment, timeout: timedelta, *, serves: bool) -> TCPStore:
    return TCPStore(master.address, master.port, environment.world, serves, timeout=timeout, wait_for_workers=False)


def own_address(*, reached_from_other_hosts: bool) -> str:
    """An address of this host: loopback where that is enough, else one that other hosts can reach."""
    if not reached_from_other_hosts:
        return "127.0.0.1"
    name = socket.gethostname()
    return _routed_address() or name


def _routed_address() -> str | None:
    """The address that this host sends from to others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
        return address
