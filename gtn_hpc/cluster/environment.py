"""Who am I among the processes of this run: read from what the launcher put into the environment.

The order matters. Inside a Slurm job, ranks of mpiexec carry SLURM_PROCID=0 and the SLURM_STEP_ID of the daemon that
started them; the bare batch shell carries SLURM_PROCID=0 and SLURM_NTASKS, but no step. So torchrun is asked first,
then MPI, and Slurm only inside a step.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gtn_hpc.cluster import slurm
from gtn_hpc.core.errors import ClusterError

Launcher = Literal["torchrun", "openmpi", "pmi", "slurm", "alone"]


@dataclass(frozen=True)
class Master:
    """Where the ranks meet: the host of rank 0 and a TCP port there."""

    address: str
    port: int


@dataclass(frozen=True)
class RankEnvironment:
    """This process among `world` processes; `local_rank` of `local_world` counts those on the same host.

    `master` is None where the environment does not tell it: MPI ranks agree on it by themselves.
    """

    rank: int
    world: int
    local_rank: int
    local_world: int
    launcher: Launcher
    master: Master | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.rank < self.world and 0 <= self.local_rank < self.local_world <= self.world):
            raise ClusterError(
                f"{self.launcher} gave this process rank {self.rank} of {self.world} and local rank "
                f"{self.local_rank} of {self.local_world}, which cannot be.",
                remedy="Start the run in a fresh shell, with one launcher only.",
            )


ALONE = RankEnvironment(rank=0, world=1, local_rank=0, local_world=1, launcher="alone")


def detect(environ: Mapping[str, str] | None = None) -> RankEnvironment:
    """The rank that the environment (of this process by default) tells; alone where it tells none.

    Raises:
        ClusterError: a launcher was here but its variables are incomplete or contradict each other.
    """
    environ = os.environ if environ is None else environ
    if "TORCHELASTIC_RUN_ID" in environ or {"RANK", "WORLD_SIZE", "LOCAL_RANK"} <= environ.keys():
        return _torchrun(environ)
    if "OMPI_COMM_WORLD_RANK" in environ:
        return _openmpi(environ)
    if "PMI_RANK" in environ:
        return _pmi(environ)
    if slurm.in_step(environ):
        return _slurm(environ)
    if "PMIX_RANK" in environ:
        raise ClusterError(
            "PMIX_RANK is set, but the number of processes is not given.",
            remedy="Start with torchrun, with the mpiexec of Open MPI or MPICH, or with srun.",
        )
    return ALONE


def detect_or_alone() -> RankEnvironment:
    """As `detect`; alone as well where a launcher's variables are incomplete or contradict each other."""
    try:
        return detect()
    except ClusterError:
        return ALONE


def _torchrun(environ: Mapping[str, str]) -> RankEnvironment:
    return RankEnvironment(
        rank=_number(environ, "RANK"),
        world=_number(environ, "WORLD_SIZE"),
        local_rank=_number(environ, "LOCAL_RANK"),
        local_world=_number(environ, "LOCAL_WORLD_SIZE"),
        launcher="torchrun",
        master=Master(_text(environ, "MASTER_ADDR"), _number(environ, "MASTER_PORT")),
    )


def _openmpi(environ: Mapping[str, str]) -> RankEnvironment:
    return RankEnvironment(
        rank=_number(environ, "OMPI_COMM_WORLD_RANK"),
        world=_number(environ, "OMPI_COMM_WORLD_SIZE"),
        local_rank=_number(environ, "OMPI_COMM_WORLD_LOCAL_RANK"),
        local_world=_number(environ, "OMPI_COMM_WORLD_LOCAL_SIZE"),
        launcher="openmpi",
        master=_given_master(environ),
    )


def _pmi(environ: Mapping[str, str]) -> RankEnvironment:
    """MPICH and its kin, under their own mpiexec (MPI_LOCALRANKID) or under `srun --mpi=pmi2` (Slurm's variables)."""
    under_srun = slurm.in_step(environ) and "MPI_LOCALRANKID" not in environ
    if under_srun:
        local_rank, local_world = _number(environ, "SLURM_LOCALID"), slurm.tasks_here(environ)
    else:
        local_rank, local_world = _number(environ, "MPI_LOCALRANKID"), _number(environ, "MPI_LOCALNRANKS")
    return RankEnvironment(
        rank=_number(environ, "PMI_RANK"),
        world=_number(environ, "PMI_SIZE"),
        local_rank=local_rank,
        local_world=local_world,
        launcher="pmi",
        master=_given_master(environ) or (_slurm_master(environ) if under_srun else None),
    )


def _slurm(environ: Mapping[str, str]) -> RankEnvironment:
    return RankEnvironment(
        rank=_number(environ, "SLURM_PROCID"),
        world=_number(environ, "SLURM_STEP_NUM_TASKS"),
        local_rank=_number(environ, "SLURM_LOCALID"),
        local_world=slurm.tasks_here(environ),
        launcher="slurm",
        master=_given_master(environ) or _slurm_master(environ),
    )


def _slurm_master(environ: Mapping[str, str]) -> Master:
    job, step = _number(environ, "SLURM_JOB_ID"), _number(environ, "SLURM_STEP_ID")
    return Master(slurm.first_host(_text(environ, "SLURM_STEP_NODELIST")), slurm.port(job, step))


def _given_master(environ: Mapping[str, str]) -> Master | None:
    """MASTER_ADDR and MASTER_PORT, which a site may set for all launchers."""
    if {"MASTER_ADDR", "MASTER_PORT"} <= environ.keys():
        return Master(environ["MASTER_ADDR"], _number(environ, "MASTER_PORT"))
    return None


def _text(environ: Mapping[str, str], name: str) -> str:
    try:
        return environ[name]
    except KeyError:
        raise ClusterError(
            f"The launcher did not set {name}.", remedy="Start with torchrun, mpiexec or srun, or unset its variables."
        ) from None


def _number(environ: Mapping[str, str], name: str) -> int:
    text = _text(environ, name)
    if not text.isdecimal():
        raise ClusterError(f"{name} is {text!r}, not a number.", remedy="Start the run in a fresh shell.")
    return int(text)
