"""The device of a rank: one GPU each, or the CPU. And that of a worker, which may share a GPU."""

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from gtn_hpc.cluster.environment import RankEnvironment
from gtn_hpc.cluster.seat import A_RANK_A_GPU, Seat, users_of
from gtn_hpc.core.environment import gpus_of_job
from gtn_hpc.core.errors import ClusterError

CONTEXT = 700 << 20
"""Bytes of a GPU that a process takes beside its tensors: kernels, and workspaces of libraries."""

if TYPE_CHECKING:
    from gtn_hpc.cluster.communicator import Communicator


def choose(setting: str, environment: RankEnvironment, gpus: int | None = None) -> torch.device:
    """The device that `run.device` (auto, cpu, cuda, cuda:N) means for this rank on a host with `gpus` visible GPUs.

    A scheduler that binds one GPU to each task leaves one visible: then it is this rank's.

    Raises:
        ClusterError: there is no such GPU, or fewer GPUs than ranks on this host.
    """
    return _device(setting, gpus, lambda visible: _own(environment, visible))


def choose_shared(setting: str, seat: Seat, gpus: int | None = None) -> torch.device:
    """What `run.device` means for a worker at `seat`: workers are dealt out to GPUs in turn, however many they are.

    Raises:
        ClusterError: there is no such GPU.
    """
    return _device(setting, gpus, seat.gpu)


def enter(device: torch.device) -> torch.device:
    """Makes `device` the current one of this thread: streams and CUDA graphs belong to that, whatever tensors say."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS may not repeat its results
        torch.cuda.set_device(device)
    return device


def share_memory(device: torch.device, setting: str, seat: Seat) -> None:
    """Holds this process to its equal part of the memory of its GPU; nothing on a CPU."""
    if device.type == "cuda":
        visible, present = torch.cuda.device_count(), gpus_of_job()
        together = seat.total if ":" in setting and visible > 1 else seat.sharers(visible, present)
        memory = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(part(together, memory), device)


def part(together: int, memory: int) -> float:
    """The fraction of a GPU's `memory` in bytes that tensors of one of `together` processes may take."""
    return 1.0 if together == 1 else max(1 / together - CONTEXT / memory, 0.5 / together)


def _device(setting: str, gpus: int | None, own: Callable[[int], int]) -> torch.device:
    gpus = torch.cuda.device_count() if gpus is None else gpus
    if setting == "cpu" or (setting == "auto" and gpus == 0):
        return torch.device("cpu")
    if gpus == 0:
        raise ClusterError(
            f"run.device is {setting}, but torch sees no GPU on this host.",
            remedy="Ask the scheduler for GPUs, look at CUDA_VISIBLE_DEVICES, or set run.device=cpu.",
        )
    index = int(setting.partition(":")[2]) if ":" in setting else own(gpus)
    if index >= gpus:
        raise ClusterError(
            f"run.device is {setting}, but torch sees {gpus} GPU(s) on this host.",
            remedy=f"Valid: cuda:0 to cuda:{gpus - 1}, or run.device=auto.",
        )
    return torch.device("cuda", index)


def _own(environment: RankEnvironment, gpus: int) -> int:
    if gpus == 1:
        return 0
    if environment.local_world > gpus:
        raise ClusterError(
            f"{environment.local_world} ranks share this host and its {gpus} GPUs: two ranks on one GPU.",
            remedy=f"Start at most {gpus} ranks a host, or set run.device=cpu.",
        )
    return environment.local_rank


def require_one_kind(communicator: "Communicator", own: torch.device) -> None:
    """Refuses, on all ranks, GPUs beside CPUs: NCCL would wait for ranks that never come.

    Raises:
        ClusterError: naming the ranks without a GPU.
    """
    kinds = communicator.all_gather((own.type, socket.gethostname()))
    if len({kind for kind, _ in kinds}) > 1:
        without = ", ".join(f"rank {rank} on {host}" for rank, (kind, host) in enumerate(kinds) if kind == "cpu")
        raise ClusterError(
            f"Some ranks have a GPU and some do not: torch sees none for {without}.",
            remedy="Look at nvidia-smi there (gtn doctor), leave that host out, or set run.device=cpu.",
        )


def require_own_gpu(communicator: "Communicator", identity: str | None) -> None:
    """Refuses, on all ranks, two ranks on one GPU; `identity` names this rank's GPU, None on a CPU.

    Raises:
        ClusterError: naming the GPU, its ranks and the remedy.
    """
    users = users_of(communicator.all_gather(identity))
    shared = "; ".join(f"{name}: ranks {ranks}" for name, ranks in users.items() if len(ranks) > 1)
    if shared:
        raise ClusterError(
            f"Two ranks on one GPU: {shared}.",
            remedy=f"Start one rank a GPU ({A_RANK_A_GPU}), or run.device=cpu.",
        )


def gpu_identity(device: torch.device, host: str) -> str | None:
    """`host` and the GPU's UUID, which is the same however CUDA_VISIBLE_DEVICES numbers it; None on a CPU."""
    if device.type != "cuda":
        return None
    return f"{host} GPU {torch.cuda.get_device_properties(device).uuid}"
