"""From the environment to a communicator and a device."""

import os
import socket
from dataclasses import dataclass

import torch

from gtn_hpc.cluster import device as devices
from gtn_hpc.cluster.communicator import Communicator, SoloCommunicator
from gtn_hpc.cluster.environment import RankEnvironment, detect
from gtn_hpc.cluster.rendezvous import meet
from gtn_hpc.cluster.torch_communicator import TorchCommunicator

TIMEOUT = 600.0
"""Seconds: longer than the slowest step, shorter than a job should hang."""

MEETING = 900.0
"""Seconds that schedulers may take to start all ranks."""


@dataclass(frozen=True)
class Connection:
    """This rank's place, its line to the others and its device."""

    environment: RankEnvironment
    communicator: Communicator
    device: torch.device


def connect(
    device: str = "auto",
    *,
    environment: RankEnvironment | None = None,
    timeout: float = TIMEOUT,
    meeting: float = MEETING,
    sharing: bool = False,
) -> Connection:
    """Finds the other ranks, and this rank's device by `run.device`; all within `meeting` seconds.

    Later, an exchange that takes more than `timeout` seconds is an error.

    Raises:
        ClusterError: ranks cannot be found, there is no such device, or, unless `sharing`, two ranks are on
            one GPU or some have a GPU and some have none.
    """
    environment = detect() if environment is None else environment
    own = devices.enter(devices.choose(device, environment))
    if own.type == "cuda":
        os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")
        os.environ.setdefault("NCCL_NVLS_ENABLE", "0")  # sums by NVLink SHARP may differ from call to call
    if environment.world == 1:
        return Connection(environment, SoloCommunicator(), own)
    store = meet(environment, meeting)
    communicator = TorchCommunicator(
        store, environment.rank, environment.world, timeout=timeout, meeting=meeting, nccl=own.type == "cuda"
    )
    if not sharing:
        devices.require_one_kind(communicator, own)
        devices.require_own_gpu(communicator, devices.gpu_identity(own, socket.gethostname()))
    return Connection(environment, communicator, own)
