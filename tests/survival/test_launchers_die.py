"""A killed launcher leaves nobody behind, also where a shell stands between it and its ranks."""

import errno
import os
import shutil
import signal
import subprocess
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


def until(met, seconds=120.0):
    """Waits for `met`; whether it came within `seconds`."""
    end = time.monotonic() + seconds
    while not met():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as status:
        return int(status.read().rpartition(")")[2].split()[1])


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
        assert until(lambda: not any(alive(rank) for rank in ranks)), "a rank lives on"


def test_who_was_started_by_a_person_lives_on(tmp_path):
    with processes([["sh", "-c", f"{sys.executable} {WAITS} {tmp_path} & wait"]], [{}]) as (process,):
        assert until(lambda: list(tmp_path.iterdir()))
        (rank,) = [int(path.name) for path in tmp_path.iterdir()]
        process.kill()
        process.wait()
        assert not until(lambda: not alive(rank), 0.3)
        os.kill(rank, signal.SIGKILL)


def test_a_rank_that_begins_when_its_launcher_is_gone_ends_at_once(tmp_path):
    gone, place = tmp_path / "gone", tmp_path / "begun"
    place.mkdir()
    orphan = f"until [ -e {gone} ]; do sleep 0.05; done; exec {sys.executable} {WAITS} {place}"
    started = subprocess.run(
        ["sh", "-c", f"sh -c '{orphan}' >/dev/null 2>&1 & echo $!"],
        env={**os.environ, "OMPI_COMM_WORLD_RANK": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    rank = int(started.stdout)
    if parent_of(rank) != 1:
        os.kill(rank, signal.SIGKILL)
        pytest.skip("a subreaper, such as a user's systemd, inherits orphans here")
    gone.touch()
    assert until(lambda: not alive(rank))
    assert not list(place.iterdir())


@pytest.mark.parametrize(
    ("mark", "first", "marked", "orphan"),
    [
        ("OMPI_COMM_WORLD_RANK", "systemd", False, True),
        ("TORCHELASTIC_RUN_ID", "tini", False, True),
        ("PMI_RANK", "mpiexec", False, False),
        ("OMPI_COMM_WORLD_RANK", "prterun", False, False),
        ("OMPI_COMM_WORLD_RANK", "appinit", True, False),
        ("SLURM_STEP_ID", "systemd", False, False),
    ],
)
def test_a_child_of_the_first_process_is_an_orphan_unless_that_starts_ranks(
    monkeypatch, tmp_path, mark, first, marked, orphan
):
    monkeypatch.setattr(launcher, "PROC", tmp_path)
    for pid in (1, os.getpid()):
        (tmp_path / str(pid)).mkdir()
    (tmp_path / "1" / "comm").write_text(f"{first}\n")
    own = f"HOME=/root\0{mark}=0\0".encode()
    (tmp_path / str(os.getpid()) / "environ").write_bytes(own)
    (tmp_path / "1" / "environ").write_bytes(own if marked else b"HOME=/root\0")
    assert launcher._is_orphan() == orphan


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


def test_where_the_kernel_does_not_tell_of_an_end_the_launcher_is_looked_at(monkeypatch):
    def refused(pid):
        raise OSError(errno.ENOSYS, "Function not implemented")

    killed, looks = [], []
    monkeypatch.setattr(launcher.os, "kill", lambda pid, number: killed.append((pid, number)))
    monkeypatch.setattr(launcher.os, "pidfd_open", refused)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            process.communicate(b"\n")

    monkeypatch.setattr(launcher.time, "sleep", sleep)
    launcher._end_with([os.getpid(), process.pid])
    assert killed == [(os.getpid(), signal.SIGKILL)]
    assert looks == [launcher.LOOK] * 3
