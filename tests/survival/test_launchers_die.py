"""A killed launcher leaves nobody behind, also where a shell stands between it and its ranks."""

import os
import shutil
import signal
import sys
import time

import pytest
from survival_runs import HERE, processes

from gtn_hpc.cluster import launcher

WAITS = HERE / "rank_that_waits.py"
BY_SHELL = ["sh", "-c", f'"$0" {WAITS} "$1"; true', sys.executable]
"""The shell has something left to do, so it does not become the rank."""

LAUNCHERS = {
    "torchrun": ["torchrun", "--nproc-per-node", "2", WAITS],
    "torchrun-shell": ["torchrun", "--nproc-per-node", "2", "--no-python", *BY_SHELL],
    "openmpi": ["mpiexec", "-n", "2", sys.executable, WAITS],
    "openmpi-shell": ["mpiexec", "-n", "2", *BY_SHELL],
}


def until(met, seconds=60.0):
    """Waits for `met`; whether it came within `seconds`."""
    end = time.monotonic() + seconds
    while not met():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as status:
            return status.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may end while its file is read
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are watched on Linux only")
@pytest.mark.parametrize("name", LAUNCHERS)
def test_no_rank_outlives_its_launcher(tmp_path, name):
    command = [str(part) for part in LAUNCHERS[name]]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    with processes([[*command, str(tmp_path)]], [{}]) as (process,):
        assert until(lambda: len(list(tmp_path.iterdir())) == 2), process.communicate(timeout=1)
        ranks = [int(path.name) for path in tmp_path.iterdir()]
        assert all(alive(rank) for rank in ranks)
        process.kill()
        assert until(lambda: not any(alive(rank) for rank in ranks), 2.0), "a rank lives 2 s later"


def test_who_was_started_by_a_person_lives_on(tmp_path):
    with processes([["sh", "-c", f"{sys.executable} {WAITS} {tmp_path} & wait"]], [{}]) as (process,):
        assert until(lambda: list(tmp_path.iterdir()))
        (rank,) = [int(path.name) for path in tmp_path.iterdir()]
        process.kill()
        process.wait()
        assert not until(lambda: not alive(rank), 0.3)
        os.kill(rank, signal.SIGKILL)


def test_a_launcher_that_is_gone_already(monkeypatch):
    """Between reading who the ancestors are and watching them, one may end."""
    killed = []
    monkeypatch.setattr(launcher.os, "kill", lambda pid, number: killed.append((pid, number)))
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    launcher._end_with([gone])
    assert killed == [(os.getpid(), signal.SIGKILL)]
