"""Libraries: torch and its images, GPUs, MPI."""

import os
import shutil
import subprocess
import sys

from gtn_hpc.launch.doctor.finding import Finding

STARTING = 60.0
"""Seconds that two MPI processes get to meet."""

MPI_PROGRAM = """
import os
from mpi4py import MPI
print(MPI.Get_library_version().splitlines()[0].split(", package")[0].strip(), "#", MPI.COMM_WORLD.Get_size())
"""


def torch() -> Finding:
    """Whether torch can be imported, and for what it was built."""
    try:
        import torch as library
    except ImportError as error:
        return Finding("torch", "fail", f"it cannot be imported: {error}", "pip install 'gtn_hpc[train]'")
    build = f"CUDA {library.version.cuda}" if library.version.cuda else "CPU only"
    return Finding("torch", "ok", f"{library.__version__}, {build}, {library.get_num_threads()} threads by default")


def torchvision() -> Finding:
    """Whether torchvision fits torch: MNIST, Fashion-MNIST and CIFAR-10 are read with it."""
    try:
        from gtn_hpc.data.vision import datasets

        datasets()
    except (ImportError, RuntimeError, AttributeError) as error:
        remedy = "Install a pair that fits, in one command: pip install torch torchvision (constraints.txt has one)."
        return Finding("torchvision", "fail", f"it cannot be imported: {str(error).splitlines()[0]}", remedy)
    return Finding("torchvision", "ok", "image sets can be read")


def gpu() -> Finding:
    """Which GPUs torch sees, and whether it misses one that the host has."""
    try:
        import torch as library
    except ImportError:
        return Finding("gpu", "warn", "unknown without torch", "pip install 'gtn_hpc[train]'")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not library.cuda.is_available():
        if shutil.which("nvidia-smi") is None:
            return Finding("gpu", "ok", "none here: ranks use the CPU, and gloo between them")
        remedy = "Take a CUDA build of torch for this driver, and look at CUDA_VISIBLE_DEVICES."
        return Finding("gpu", "warn", f"the host has one, but torch sees none (CUDA_VISIBLE_DEVICES={visible})", remedy)
    count, name = library.cuda.device_count(), library.cuda.get_device_name(0)
    version = ".".join(map(str, library.cuda.nccl.version()))
    return Finding("gpu", "ok", f"{count} x {name} (CUDA_VISIBLE_DEVICES={visible}), NCCL {version} between ranks")


def mpiexec() -> Finding:
    """Starts two processes and asks each how many there are: a foreign mpiexec starts two that are alone."""
    if shutil.which("mpiexec") is None:
        return Finding("mpiexec", "warn", "there is none", "For gtn search over MPI: load the site's MPI module.")
    told = _two(["mpiexec", "-n", "2"])
    return _judged("mpiexec", told, "mpiexec", "Build mpi4py against this MPI: pip install --no-binary=:all: mpi4py.")


def srun_mpi() -> Finding:
    """Only inside a Slurm job: does srun start MPI processes that see each other?"""
    if "SLURM_JOB_ID" not in os.environ or shutil.which("srun") is None or "SLURM_STEP_ID" in os.environ:
        return Finding("srun for MPI", "ok", "not tried: this is not the batch shell of a Slurm job")
    if os.environ.get("SLURM_NTASKS", "1") == "1":
        return Finding("srun for MPI", "ok", "not tried: the job has one task")
    told = _two(["srun", "--mpi=pmix", "--ntasks=2", "--overlap"])
    found = _judged("srun for MPI", told, "srun --mpi=pmix", "Start gtn search with mpiexec (slurm/search.sbatch).")
    return Finding(found.check, "warn", found.found, found.remedy) if found.status == "fail" else found


def _two(launcher: list[str]) -> "subprocess.CompletedProcess[str]":
    command = [*launcher, sys.executable, "-c", MPI_PROGRAM]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=STARTING, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"nothing happened for {STARTING:.0f} s")


def _judged(check: str, told: "subprocess.CompletedProcess[str]", launcher: str, remedy: str) -> Finding:
    lines = [line.partition(" # ") for line in told.stdout.splitlines() if " # " in line]
    if told.returncode or len(lines) != 2:
        said = [line for line in (told.stderr or told.stdout).splitlines() if line.strip(" -")]
        first = said[0].strip() if said else f"exit code {told.returncode}"
        if "as root" in first:
            remedy = "Run as a user; in a container: export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1."
        return Finding(check, "fail", f"{launcher} cannot start two MPI processes: {first}", remedy)
    library, size = lines[0][0], lines[0][2]
    if size != "2":
        found = f"{launcher} started two processes, but mpi4py ({library}) sees {size} in each: another MPI"
        return Finding(check, "fail", found, remedy)
    return Finding(check, "ok", f"{library}; {launcher} starts processes that see each other")
