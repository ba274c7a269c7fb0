"""`gtn doctor` on a machine that is well, and on ones with a fault."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from gtn_hpc.cluster.communicator import SoloCommunicator
from gtn_hpc.core.errors import ClusterError
from gtn_hpc.launch.doctor import files, software
from gtn_hpc.launch.doctor.ranks import bandwidth, over_nccl, own_gpus

HERE = Path(__file__).parent


def examined(root, *, launcher=(), code=0, **environ):
    """Check -> finding of the first node of `gtn doctor --json`."""
    command = [*launcher, sys.executable, "-m", "gtn_hpc", "doctor", "--root", str(root), "--json"]
    done = subprocess.run(
        command, env=os.environ | environ, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=240
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"well"')]
    assert done.returncode == code or code is None, done.stderr
    assert len(lines) == 1, done.stdout + done.stderr
    return {finding["check"]: finding for finding in json.loads(lines[0])["nodes"][0]["findings"]}


def says(finding, status, words, remedy=""):
    assert finding["status"] == status, finding
    assert words in finding["found"]
    assert remedy in finding["remedy"]


def programs(tmp_path, **texts):
    """A directory with executable scripts, to go before PATH."""
    place = tmp_path / "bin"
    place.mkdir()
    for name, text in texts.items():
        (place / name).write_text("#!/bin/sh\n" + text)
        (place / name).chmod(0o755)
    return f"{place}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def with_slurm(tmp_path):
    """PATH with a Slurm that answers, as on a login node."""
    return programs(
        tmp_path, scontrol="echo 'Slurmctld(primary) at here is UP'", sbatch="true", sacct="true", sinfo="echo slurm 0"
    )


def test_a_machine_that_is_well(tmp_path, with_slurm):
    if shutil.which("mpiexec") is None:
        pytest.skip("no mpiexec")
    found = examined(tmp_path, PATH=with_slurm)
    assert {finding["status"] for finding in found.values()} == {"ok"}
    says(found["mpiexec"], "ok", "mpiexec starts processes that see each other")
    says(found["launcher"], "ok", "none: this process is alone")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".gtn-doctor")]


def test_faults_of_software_scheduler_and_names(tmp_path):
    package = tmp_path / "lib" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('raise RuntimeError("operator torchvision::nms does not exist")\n')
    path = programs(
        tmp_path,
        mpiexec='shift 2; "$@"; "$@"',
        scontrol="echo 'Slurmctld(primary) at here is UP'",
        sbatch="true",
        sinfo="echo slurm 0",
        sacct="echo 'Slurm accounting storage is disabled' >&2; exit 1",
    )
    lost, library = "no-such-node[1-2]", str(tmp_path / "lib")
    found = examined(tmp_path, code=1, PATH=path, SLURM_JOB_NODELIST=lost, PYTHONPATH=library)
    says(found["mpiexec"], "fail", "sees 1 in each: another MPI", "Build mpi4py against this MPI")
    says(found["sacct"], "warn", "Slurm accounting storage is disabled", "States of jobs come from squeue")
    says(found["master address"], "fail", "'no-such-node1' does not resolve", "Set MASTER_ADDR")
    says(found["torchvision"], "fail", "operator torchvision::nms does not exist", "pip install torch torchvision")
    assert found["torch"]["status"] == "ok"


@pytest.fixture
def mounted(tmp_path):
    """Mounts a small file system in memory at a new directory; gone after the test."""
    place = tmp_path / "mounted"
    place.mkdir()

    def mount(*options):
        done = subprocess.run(["mount", "-t", "tmpfs", *options, "gtn-doctor", place], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"cannot mount here: {done.stderr.strip()}")
        return place

    yield mount
    subprocess.run(["umount", place], check=False, capture_output=True)


def test_a_directory_that_is_read_only(mounted):
    for name, check in files.checks(mounted("-o", "ro")):
        finding = asdict(check())
        assert finding["check"] == name
        says(finding, "fail", "Read-only file system", "run.root=DIRECTORY")


def test_a_disk_that_is_full(mounted):
    place = mounted("-o", "size=256k")
    says(asdict(files.write(place)), "fail", "No space left on device", "Free some room")
    assert list(place.iterdir()) == []


def alone(check, *launcher):
    """The finding of one check in a process of its own."""
    program = f"import json, dataclasses\n{check}\nprint(json.dumps(dataclasses.asdict(found)))"
    done = subprocess.run([*launcher, sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_file_system_without_locks(tmp_path):
    check = (
        f"import sys, pathlib; sys.path.insert(0, {str(HERE)!r}); place = pathlib.Path({str(tmp_path)!r})\n"
        "from without_flock import refuse_flock; refuse_flock()\n"
        "from gtn_hpc.launch.doctor import files\n"
        "assert files.append(place).status == 'ok'\n"
        "found = files.flock(place)"
    )
    says(alone(check), "fail", "No locks available", "Lustre: -o flock")


def test_signals_that_would_not_arrive():
    check = "from gtn_hpc.launch.doctor import scheduler\nfound = scheduler.signals()"
    says(alone(check, "sh", "-c", "trap '' USR2; exec \"$@\"", "sh"), "fail", "SIGUSR2 would not arrive", "nohup")
    says(alone(check), "ok", "TERM and USR2 arrive")


def test_two_ranks_on_one_gpu(tmp_path, with_slurm):
    ranks = ["torchrun", "--nproc-per-node=2", "--no-python"]
    if shutil.which("torchrun") is None:
        pytest.skip("no torchrun")
    found = examined(tmp_path, launcher=ranks, code=None, PATH=with_slurm, CUDA_VISIBLE_DEVICES="0")
    says(found["own GPU"], "fail", ": ranks 0, 1", "One GPU a rank")
    milliseconds = float(found["all-reduce"]["found"].partition("takes ")[2].split()[0])
    says(found["all-reduce"], "ok" if milliseconds < 335.5 else "warn", "over 2 ranks takes")  # of 50 MB/s
    says(found["launcher"], "ok", "torchrun: rank 0 of 2, 0 of 2 on")
    assert "mpiexec" not in found
    assert torch.cuda.is_available() or "all-reduce on GPUs" not in found


def test_mpi_that_refuses_root():
    told = subprocess.CompletedProcess("mpiexec", 1, "", "prterun has detected an attempt to run as root.\n")
    says(asdict(software._judged("mpiexec", told, "mpiexec", "")), "fail", "as root", "OMPI_ALLOW_RUN_AS_ROOT=1")


def test_gpus_that_are_the_ranks_own():
    says(asdict(own_gpus(["a GPU 0", "a GPU 1", "b GPU 0"])), "ok", "3 ranks, each with a GPU of its own")
    says(asdict(own_gpus([None, None])), "ok", "no rank of 2 has a GPU")
    says(asdict(own_gpus(["a GPU 0", None, "a GPU 0"])), "fail", "a GPU 0: ranks 0, 2")


class Unheard(SoloCommunicator):
    """Ranks with GPUs between which nothing gets through."""

    def start_sum(self, flat):
        raise ClusterError("Rank 0 waited in vain for a sum: rank 1 did not come.")


def test_a_sum_between_gpus_is_tried_where_each_rank_has_its_own_and_its_failure_is_told():
    gpus, shared, none = own_gpus(["a GPU 0", "a GPU 1"]), own_gpus(["a GPU 0"] * 2), own_gpus([None])
    assert over_nccl(SoloCommunicator(), torch.device("cpu"), none) is None
    assert over_nccl(SoloCommunicator(), torch.device("cuda"), shared) is None
    assert bandwidth(SoloCommunicator()).check == "all-reduce"
    if not torch.cuda.is_available():
        return
    told = over_nccl(Unheard(), torch.device("cuda"), gpus)
    says(asdict(told), "fail", "waited in vain for a sum", "NCCL_DEBUG=INFO")
