"""All checks: those of this process, and under a launcher those of all ranks together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gtn_hpc.cluster.environment import RankEnvironment, detect_or_alone
from gtn_hpc.core.errors import ClusterError
from gtn_hpc.launch.doctor import files, ranks, scheduler, software
from gtn_hpc.launch.doctor.finding import Check, Finding, guarded


@dataclass(frozen=True)
class Report:
    """What was found on one node."""

    host: str
    findings: tuple[Finding, ...]

    @property
    def well(self) -> bool:
        return all(finding.status != "fail" for finding in self.findings)


def examine(root: Path) -> list[Report]:
    """One report a node, those of rank 0's first; None but rank 0 gets more than its own.

    Takes some seconds; writes only into a directory of its own below `root`, which it removes.
    """
    environment = detect_or_alone()
    findings = [guarded(name, check) for name, check in _checks(root, environment)]
    if environment.world == 1:
        return [Report(ranks.host(), tuple(findings))]
    return _of_all(environment, findings)


def _checks(root: Path, environment: RankEnvironment) -> Iterator[tuple[str, Check]]:
    """Under a launcher no second one is started."""
    yield "torch", software.torch
    yield "torchvision", software.torchvision
    yield "gpu", software.gpu
    if environment.world == 1:
        yield "mpiexec", software.mpiexec
        yield "srun for MPI", software.srun_mpi
    yield "launcher", ranks.launcher
    yield "master address", scheduler.master
    yield "slurm", scheduler.slurm
    yield "sacct", scheduler.sacct
    yield "signals", scheduler.signals
    yield from files.checks(root)


def _of_all(environment: RankEnvironment, findings: Sequence[Finding]) -> list[Report]:
    """Rank 0 gets the reports of the first rank of each node, with what all ranks found together in its own."""
    try:
        from gtn_hpc.cluster.connect import connect

        device = ranks.device(environment)
        connection = connect(
            device, environment=environment, meeting=ranks.MEETING, timeout=ranks.MEETING, sharing=True
        )
    except (ClusterError, ImportError) as error:
        failed = Finding("meeting", "fail", str(error), "Mend the master address, and open the ports between nodes.")
        return [Report(ranks.host(), (*findings, failed))]
    communicator = connection.communicator
    shared = ranks.together(communicator, environment)
    own = Report(ranks.host(), (*findings, *(shared if environment.rank == 0 else ())))
    everywhere = communicator.all_gather(own if environment.local_rank == 0 else None)
    nccl = ranks.over_nccl(communicator, connection.device, shared[0])
    if nccl is None or nccl.status != "fail":
        communicator.close()
    if environment.rank != 0:
        return [own]
    first = replace(own, findings=(*own.findings, *(() if nccl is None else (nccl,))))
    return [first, *(report for report in everywhere[1:] if report is not None)]
