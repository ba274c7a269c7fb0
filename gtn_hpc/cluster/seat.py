"""The places of workers that share the GPUs and the memory of a host."""

from collections.abc import Iterable
from dataclasses import dataclass

from gtn_hpc.cluster.environment import RankEnvironment

A_RANK_A_GPU = "srun --ntasks-per-node=N --gpus-per-node=N --gpu-bind=none, torchrun --nproc-per-node=GPUS"
"""How launchers are asked for one rank a GPU, each of which sees them all: peers that are hidden cannot use NVLink."""


@dataclass(frozen=True)
class Seat:
    """Worker `worker` of the `workers` of one process, which is process `process` of the `processes` at work here."""

    process: int = 0
    processes: int = 1
    worker: int = 0
    workers: int = 1

    @property
    def total(self) -> int:
        """Workers on this host."""
        return self.processes * self.workers

    def gpu(self, visible: int) -> int:
        """The GPU of `visible` that is this worker's, which others may share."""
        return (self.process * self.workers + self.worker) % visible

    def sharers(self, visible: int, present: int) -> int:
        """Workers on this worker's GPU, itself among them; `present` GPUs are the job's on this host.

        Where a process sees one of several, the scheduler binds another to each: so processes count as spread evenly.
        """
        if visible > 1:
            return len(range(self.gpu(visible), self.total, visible))
        return self.workers * -(-self.processes // max(present, 1))


def users_of(gpus: Iterable[str | None]) -> dict[str, list[int]]:
    """The ranks on each GPU, given what each rank calls its own: None where it has none."""
    users: dict[str, list[int]] = {}
    for rank, gpu in enumerate(gpus):
        if gpu is not None:
            users.setdefault(gpu, []).append(rank)
    return users


def seat_under_manager(environment: RankEnvironment) -> Seat:
    """Of a rank under rank 0, which asks and does not work.

    Rank 0 counts as on this host where all ranks below are. Where ranks are dealt out to hosts in turn, its host is
    taken to have one worker more than it has.
    """
    beside = int(environment.rank == environment.local_rank)
    return Seat(environment.local_rank - beside, environment.local_world - beside)
