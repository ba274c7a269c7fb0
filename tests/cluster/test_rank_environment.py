"""Environments as the launchers wrote them (torchrun 2.13, Open MPI 5.0.11, Slurm 22.05), shortened."""

import os

import pytest

from gtn_hpc.cluster import detect, slurm
from gtn_hpc.cluster.environment import ALONE, Master, RankEnvironment, detect_or_alone
from gtn_hpc.core.errors import ClusterError

TORCHRUN = {
    "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "1",
    "MASTER_ADDR": "localhost", "MASTER_PORT": "39055", "TORCHELASTIC_RUN_ID": "f9917f53",
    "TORCHELASTIC_RESTART_COUNT": "0", "TORCHELASTIC_USE_AGENT_STORE": "True",
}  # fmt: skip
OPENMPI = {
    "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2", "OMPI_COMM_WORLD_NODE_RANK": "1", "PMIX_RANK": "1",
}  # fmt: skip
HYDRA = {"PMI_RANK": "2", "PMI_SIZE": "3", "MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "1"}
BATCH = {
    "SLURM_JOB_ID": "1", "SLURM_JOB_NODELIST": "node[0-1]", "SLURM_LOCALID": "0", "SLURM_NODEID": "0",
    "SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_TASKS_PER_NODE": "1(x2)",
}  # fmt: skip
STEP = {
    **BATCH, "SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "node[0-1]", "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
}  # fmt: skip
SRUN = {**STEP, "SLURM_PROCID": "1", "SLURM_NODEID": "1"}
DAEMON = {**STEP, "SLURM_STEP_ID": "1", "SLURM_NTASKS_PER_NODE": "1"}
PMI2 = {
    **STEP, "PMI_RANK": "2", "PMI_SIZE": "3", "SLURM_PROCID": "2", "SLURM_NODEID": "1", "SLURM_STEP_ID": "2",
    "SLURM_STEP_NUM_TASKS": "3", "SLURM_STEP_TASKS_PER_NODE": "2,1", "SLURM_NTASKS": "3",
}  # fmt: skip
NODE0 = Master("node0", slurm.port(1, 0))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ALONE),
        (TORCHRUN, RankEnvironment(3, 4, 1, 2, "torchrun", Master("localhost", 39055))),
        (OPENMPI, RankEnvironment(1, 2, 1, 2, "openmpi")),
        (HYDRA, RankEnvironment(2, 3, 0, 1, "pmi")),
        (BATCH, ALONE),
        (SRUN, RankEnvironment(1, 2, 0, 1, "slurm", NODE0)),
        ({**DAEMON, **OPENMPI}, RankEnvironment(1, 2, 1, 2, "openmpi")),
        ({**DAEMON, **HYDRA}, RankEnvironment(2, 3, 0, 1, "pmi")),
        (PMI2, RankEnvironment(2, 3, 0, 1, "pmi", Master("node0", slurm.port(1, 2)))),
        ({**SRUN, **TORCHRUN}, RankEnvironment(3, 4, 1, 2, "torchrun", Master("localhost", 39055))),
        ({**OPENMPI, **TORCHRUN}, RankEnvironment(3, 4, 1, 2, "torchrun", Master("localhost", 39055))),
        ({**BATCH, "SLURM_STEP_ID": "4294967290"}, ALONE),
        ({**SRUN, "PMIX_RANK": "1"}, RankEnvironment(1, 2, 0, 1, "slurm", NODE0)),
        ({**SRUN, "MASTER_ADDR": "a", "MASTER_PORT": "5"}, RankEnvironment(1, 2, 0, 1, "slurm", Master("a", 5))),
    ],
    ids=[
        "alone", "torchrun", "mpiexec", "mpiexec of MPICH", "batch shell", "srun", "mpiexec inside sbatch",
        "mpiexec of MPICH inside sbatch", "srun pmi2", "torchrun under srun", "torchrun under mpiexec",
        "interactive shell", "srun pmix", "srun with a master set by the site",
    ],
)  # fmt: skip
def test_each_launcher_is_known(environ, expected):
    assert detect(environ) == expected


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({**TORCHRUN, "RANK": "4"}, "torchrun gave this process rank 4 of 4"),
        ({**OPENMPI, "OMPI_COMM_WORLD_LOCAL_RANK": "2"}, "openmpi gave .* local rank 2 of 2"),
        ({**OPENMPI, "OMPI_COMM_WORLD_SIZE": "two"}, "OMPI_COMM_WORLD_SIZE is 'two', not a number"),
        ({name: value for name, value in TORCHRUN.items() if name != "MASTER_ADDR"}, "did not set MASTER_ADDR"),
        ({**SRUN, "SLURM_STEP_TASKS_PER_NODE": "many"}, "SLURM_STEP_TASKS_PER_NODE is 'many'"),
        ({**SRUN, "SLURM_NODEID": "2"}, "SLURM_NODEID is '2' in a step of 2 nodes"),
        ({**SRUN, "SLURM_STEP_NODELIST": ""}, "names no host"),
        ({"PMIX_RANK": "1"}, "number of processes is not given"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(environ, message):
    with pytest.raises(ClusterError, match=message) as caught:
        detect(environ)
    assert caught.value.remedy


def test_without_an_argument_it_asks_this_process(monkeypatch):
    for name in os.environ:
        if name.startswith(("SLURM_", "OMPI_COMM", "PMI", "RANK", "WORLD_SIZE")):
            monkeypatch.delenv(name)
    assert detect() == ALONE
    for name, value in HYDRA.items():
        monkeypatch.setenv(name, value)
    assert detect().launcher == detect_or_alone().launcher == "pmi"
    monkeypatch.delenv("PMI_SIZE")
    with pytest.raises(ClusterError):
        detect()
    assert detect_or_alone() == ALONE


@pytest.mark.parametrize(
    ("nodelist", "first"),
    [
        ("node7", "node7"), ("node[0-1]", "node0"), ("node[003,7-9],gpu[1-2]", "node003"), ("gpu2,node[1-3]", "gpu2"),
        ("rack[2-3]node[10-12]", "rack2node10"), ("n[5]-ib", "n5-ib"),
    ],
)  # fmt: skip
def test_the_first_host_of_a_node_list(nodelist, first):
    assert slurm.first_host(nodelist) == first


def test_task_lists_are_unrolled():
    assert slurm.tasks_by_node("2(x3),1") == [2, 2, 2, 1]
    assert slurm.tasks_by_node("4") == [4]


def test_ports_of_neighbouring_steps_differ():
    ports = {slurm.port(job, step) for job in range(100, 150) for step in range(20)}
    assert len(ports) == 1000
    assert all(1024 < port < 32768 for port in ports)
