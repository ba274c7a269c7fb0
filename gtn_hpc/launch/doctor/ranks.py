"""Who this process is among others; under a launcher also what only all ranks together can tell."""

import os
import socket
import time
from typing import TYPE_CHECKING

from gtn_hpc.cluster.environment import RankEnvironment, detect
from gtn_hpc.cluster.seat import A_RANK_A_GPU, users_of
from gtn_hpc.core.errors import ClusterError
from gtn_hpc.launch.doctor.finding import Finding

if TYPE_CHECKING:
    import torch

    from gtn_hpc.cluster.communicator import Communicator

BYTES = 16 << 20
ROUNDS = 5

MEETING = 120.0
"""Seconds that the ranks get to find each other."""


def launcher() -> Finding:
    """Who started this process, and as which rank of how many."""
    try:
        found = detect()
    except ClusterError as error:
        return Finding("launcher", "fail", error.what, error.remedy or "")
    if found.launcher == "alone":
        return Finding("launcher", "ok", "none: this process is alone")
    place = f"rank {found.rank} of {found.world}, {found.local_rank} of {found.local_world} on {host()}"
    return Finding("launcher", "ok", f"{found.launcher}: {place}")


def host() -> str:
    """The node's name as the scheduler knows it."""
    return os.environ.get("SLURMD_NODENAME", socket.gethostname())


def gpu_of(environment: RankEnvironment) -> str | None:
    """What tells this rank's GPU from others: its UUID, or where torch sees none what CUDA_VISIBLE_DEVICES gives it."""
    import torch

    from gtn_hpc.cluster.device import choose, gpu_identity

    if torch.cuda.is_available():
        return gpu_identity(choose("auto", environment), host())
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if not visible:
        return None
    return f"{host()} GPU {visible[environment.local_rank] if len(visible) > environment.local_rank else visible[0]}"


def device(environment: RankEnvironment) -> str:
    """The `run.device` to meet with: `auto` where this rank has a GPU, so that NCCL is tried too."""
    import torch

    from gtn_hpc.cluster.device import choose

    if not torch.cuda.is_available():
        return "cpu"
    try:
        torch.ones(1, device=choose("auto", environment))
    except (ClusterError, RuntimeError):
        return "cpu"  # what is wrong with it, other checks tell
    return "auto"


def together(communicator: "Communicator", environment: RankEnvironment) -> list[Finding]:
    """The checks that all ranks make at the same time; collective."""
    try:
        gpu = gpu_of(environment)
    except ClusterError as error:
        gpu = f"unknown ({error.what})"
    gpus = communicator.all_gather(gpu)
    return [own_gpus(gpus), bandwidth(communicator)]


def own_gpus(gpus: list[str | None]) -> Finding:
    """One GPU a rank, given what each rank says of its own."""
    users = users_of(gpus)
    shared = [f"{gpu}: ranks {', '.join(map(str, ranks))}" for gpu, ranks in users.items() if len(ranks) > 1]
    if shared:
        remedy = f"One GPU a rank: {A_RANK_A_GPU}, or run.device=cpu."
        return Finding("own GPU", "fail", f"two ranks on one GPU ({'; '.join(shared)})", remedy)
    if not users:
        return Finding("own GPU", "ok", f"no rank of {len(gpus)} has a GPU")
    return Finding("own GPU", "ok", f"{len(users)} ranks, each with a GPU of its own: {', '.join(users)}")


def over_nccl(communicator: "Communicator", device: "torch.device", gpus: Finding) -> Finding | None:
    """The same sum from GPU to GPU, given what `own_gpus` found; None where a rank has none. Collective.

    After a failure there are no more exchanges.
    """
    if any(kind != "cuda" for kind in communicator.all_gather(device.type)) or gpus.status != "ok":
        return None
    try:
        return bandwidth(communicator, device)
    except (ClusterError, RuntimeError) as error:
        remedy = "Set NCCL_DEBUG=INFO and read what NCCL says; name the network by NCCL_SOCKET_IFNAME."
        return Finding(ON_GPUS, "fail", str(error).splitlines()[0], remedy)


ON_GPUS = "all-reduce on GPUs"


def bandwidth(communicator: "Communicator", device: "torch.device | str" = "cpu") -> Finding:
    """Sums of 16 MiB of float32 over all ranks: seconds a sum, and the bytes that it moves through each rank."""
    import torch

    flat = torch.ones(BYTES // 4, device=device)
    name = ON_GPUS if flat.is_cuda else "all-reduce"
    _sum(communicator, flat)
    began = time.perf_counter()
    for _ in range(ROUNDS):
        _sum(communicator, flat)
    seconds = (time.perf_counter() - began) / ROUNDS
    moved = 2 * BYTES * (communicator.world - 1) / communicator.world
    found = f"a sum of {BYTES >> 20} MiB over {communicator.world} ranks takes {1e3 * seconds:.0f} ms"
    rate = f"{moved / seconds / 1e9:.2f} GB/s a rank"
    if moved / seconds < 5e7:
        remedy = "Name the fast network: interface in the site's profile (GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME)."
        return Finding(name, "warn", f"{found}, {rate}", remedy)
    return Finding(name, "ok", f"{found}, {rate}")


def _sum(communicator: "Communicator", flat: "torch.Tensor") -> None:
    """Returns when it is done, on a GPU too."""
    import torch

    communicator.start_sum(flat).wait()
    if flat.is_cuda:
        torch.cuda.synchronize(flat.device)
