"""A short measurement of meta-training in this process: what a replica costs here."""

import resource
import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gtn_hpc.config import Config

if TYPE_CHECKING:
    import torch

    from gtn_hpc.meta.pupil import Tell

WARM_UP, ROUNDS = 2, 10
"""Replicas that are not counted, and that are, at most."""

ENOUGH = 60.0
"""Seconds of measuring after which no further replica is begun, once there are two: sizes that are meant for a GPU take
minutes each on a CPU."""


@dataclass(frozen=True)
class Measured:
    """Seconds of a meta-iteration's replica (median of `replicas`), memory, and the sizes that files follow from."""

    seconds: float
    peak_bytes: int
    teacher_bytes: int
    image_values: int
    classes: int
    device: str
    replicas: int


def measure(config: Config, tell: "Tell") -> Measured:
    """Runs a few replicas of the first meta-iterations; updates and writes nothing. `tell` hears of each.

    Raises:
        DataError, ConfigError, ClusterError: as training would.
    """
    import torch

    from gtn_hpc.cluster.device import choose, enter
    from gtn_hpc.cluster.environment import ALONE
    from gtn_hpc.inner.build import make_engine
    from gtn_hpc.meta.setup import make_task, prepare

    torch.set_num_threads(config.run.threads)
    device = enter(choose(config.run.device, ALONE))
    room, engine = prepare(config, device), make_engine(config.engine)
    teacher: dict[str, torch.Tensor] = dict(room.teacher.named_parameters())
    took = list[float]()
    while len(took) < WARM_UP + ROUNDS and (len(took) < 2 or sum(took) < ENOUGH):
        tell(len(took), WARM_UP + ROUNDS)
        began = time.perf_counter()
        engine(make_task(room, len(took), 0), teacher)
        _finish(device)
        took.append(time.perf_counter() - began)
    counted = took[min(WARM_UP, len(took) - 1) :]
    return Measured(
        seconds=statistics.median(counted),
        peak_bytes=_peak(device),
        teacher_bytes=sum(tensor.numel() * tensor.element_size() for tensor in teacher.values()),
        image_values=room.shape.channels * room.shape.height * room.shape.width,
        classes=room.classes,
        device=str(device),
        replicas=len(counted),
    )


def _finish(device: "torch.device") -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak(device: "torch.device") -> int:
    """The most memory in bytes: of the device on a GPU, else of this process, libraries included."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))  # with what graphs keep between their replays
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
