"""A lock that one process has, and that its end, of whatever kind, gives back."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gtn_hpc.core.errors import RunError
from gtn_hpc.core.lock import sole

HOLDER = """
import sys, time
from pathlib import Path
from gtn_hpc.core.lock import sole
with sole(Path(sys.argv[1]), "at work"):
    print("held", flush=True)
    time.sleep(600)
"""

WITHOUT_FLOCK = """
import sys
from pathlib import Path
from without_flock import refuse_flock
from gtn_hpc.core.errors import RunError
from gtn_hpc.core.lock import sole
refuse_flock()
with sole(Path(sys.argv[1]), "at work", required=False):
    print("held without")
try:
    with sole(Path(sys.argv[1]), "at work"):
        print("held")
except RunError as error:
    print(error)
"""


def test_a_second_one_is_told_which_process_has_it_until_that_one_dies(tmp_path):
    path = tmp_path / "deep" / "a.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError) as refused, sole(path, "at work"):
            pass
        assert refused.value.what == f"Another process is at work: process {holder.pid} on {socket.gethostname()}."
        assert refused.value.remedy == "Wait for it, or end it."
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with sole(path, "at work"):
        assert path.read_text() == f"process {os.getpid()} on {socket.gethostname()}"


def test_a_lock_file_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "a.lock").mkdir()
    with pytest.raises(RunError, match=r"a.lock cannot be opened: Is a directory") as caught:
        sole(tmp_path / "a.lock", "at work").__enter__()
    assert "permissions" in caught.value.remedy


def test_one_that_is_about_to_end_is_waited_for(tmp_path):
    path = tmp_path / "a.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        threading.Timer(1, holder.kill).start()
        with sole(path, "at work", patience=60):
            assert path.read_text() == f"process {os.getpid()} on {socket.gethostname()}"
    finally:
        holder.kill()
        holder.wait()


def test_an_error_within_gives_it_back(tmp_path):
    with pytest.raises(ValueError, match="within"), sole(tmp_path / "a.lock", "at work"):
        raise ValueError("within")
    with sole(tmp_path / "a.lock", "at work"):
        pass


def test_a_file_system_without_locks_is_named_with_a_remedy(tmp_path):
    paths = os.pathsep.join([str(Path(__file__).parents[1] / "launch"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FLOCK, tmp_path / "a.lock"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        check=True,
    )
    assert done.stdout.startswith("held without\n")
    assert "a.lock cannot be locked: No locks available" in done.stdout
    assert "run.root=DIRECTORY" in done.stdout
