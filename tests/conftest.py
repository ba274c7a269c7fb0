"""One thread a process, MPI that starts anywhere, programs started with a time limit and ended with their children."""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[1]

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each of hundreds of processes compiles the package anew
os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
os.environ.setdefault("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe")
os.environ.setdefault("PRTE_MCA_hwloc_default_binding_policy", "none")
os.environ.setdefault("OMPI_MCA_mpi_yield_when_idle", "1")  # test workers share the cores with ranks that wait
SESSIONS = "PRTE_MCA_prte_tmpdir_base"
"""Where mpiexec keeps its session: in /tmp, what a killed one left stops a later one of the same process number."""
if SESSIONS not in os.environ:
    os.environ[SESSIONS] = tempfile.mkdtemp(prefix="gtn-mpi-")
    atexit.register(shutil.rmtree, os.environ[SESSIONS], ignore_errors=True)
TEMPORARY = "PYTEST_DEBUG_TEMPROOT"
MEMORY, ROOM = Path("/dev/shm"), 4 * 2**30
"""Where there is room, tests write here: each row of hundreds of runs is waited for until it is on the disk."""
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM:
    os.environ.setdefault(TEMPORARY, str(MEMORY))
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

settings.register_profile("suite", deadline=None, database=None, derandomize=True)
settings.load_profile("suite")

TOGETHER = ("slurm/", "cli/test_bad_input.py", "cli/test_evaluating.py", "cli/", "report/")
"""Directories whose files share what is costly to make: a cluster, a finished run, a page. One worker does them all,
but for files that take long themselves: each makes a run of its own."""

LONGEST = (
    "slurm/",
    "cli/",
    "survival/test_launchers_restart.py",
    "survival/test_any_number_of_ranks.py",
    "launch/test_local_jobs.py",
    "report/",
    "survival/",
    "search/",
    "launch/",
    "cluster/",
)
"""What takes longest or mostly waits for processes comes first: at the end it would leave the other workers idle."""

Launch = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    where = item.path.relative_to(ROOT / "tests").as_posix()
    return next((turn for turn, start in enumerate(LONGEST) if where.startswith(start)), len(LONGEST))


class Scheduling(LoadScopeScheduling):
    """A file's tests run in one worker, and those of some directories."""

    def _split_scope(self, nodeid: str) -> str:
        where = nodeid.partition("::")[0].removeprefix("tests/")
        return next((start for start in TOGETHER if where.startswith(start)), where)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def launch() -> Launch:
    """Runs a program to its end; past `timeout` seconds its whole process group is killed and the test fails."""

    def run(
        command: Sequence[str | Path],
        *,
        timeout: float = 180,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        check: bool = True,
    ) -> "subprocess.CompletedProcess[str]":
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environ or {})},
            cwd=cwd,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"{command[0]} did not end within {timeout} s\n{out}\n{err}")
        if check and process.returncode != 0:
            pytest.fail(f"{command[0]} ended with {process.returncode}\n{out}\n{err}")
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    return run


@pytest.fixture
def mount_disk() -> Iterator[Callable[[Path, str], None]]:
    """Mounts a file system of a size at a directory until the test ends; skips it where none can be mounted."""
    with ExitStack() as mounted:

        def mount(place: Path, size: str) -> None:
            command = ["env", "mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            if done.returncode:
                pytest.skip(f"a disk that gets full is one that root mounts, not here: {done.stderr.strip()}")
            mounted.callback(subprocess.run, ["umount", "-l", str(place)], check=True, timeout=60)

        yield mount


@dataclass(frozen=True)
class Hold:
    """What a process that has `environ` waits for, see held/sitecustomize.py."""

    file: Path
    environ: dict[str, str]

    def release(self) -> None:
        self.file.touch()


@pytest.fixture
def hold_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Hold]]:
    """Holds processes, their children and their ranks before they rename anything to the name that is given."""
    file = tmp_path_factory.mktemp("hold") / "released"
    paths = os.pathsep.join(filter(None, [str(ROOT / "tests" / "held"), os.environ.get("PYTHONPATH")]))
    yield lambda name: Hold(file, {"HOLD": f"{name}:{file}", "PYTHONPATH": paths})
    file.touch()


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return ROOT
