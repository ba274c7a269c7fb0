"""One Slurm of three virtual nodes for all tests of this directory, ended with them."""

import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from slurm_jobs import TINY, Slurm

from gtn_hpc.config.site import Resources, Site
from gtn_hpc.launch import submit

SCRIPT = Path(__file__).with_name("slurm_cluster.sh")
ACCOUNTING = bool(os.environ.get("SLURM_TEST_ACCOUNTING"))
"""With sacct: needs slurmdbd and mariadb-server."""

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "munged")


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slurm)


def free_ports(first=28400, block=20):
    """The first of a block of ports that nobody listens at: another suite may run here at the same time."""
    for base in range(first, first + 50 * block, block):
        with ExitStack() as opened:
            try:
                for port in range(base, base + block):
                    opened.enter_context(socket.socket()).bind(("", port))
            except OSError:
                continue
            return base
    pytest.skip("no free block of ports")


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """The running cluster."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: apt-get install slurm-wlm munge")
    if ACCOUNTING:
        missing = [program for program in ("slurmdbd", "mariadbd") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: apt-get install slurmdbd mariadb-server")
    if os.geteuid() != 0:
        pytest.skip("a Slurm of virtual nodes needs root")
    place = tmp_path_factory.mktemp("slurm")
    environ = {
        **os.environ,
        "SLURM_TEST_DIR": str(place / "cluster"),
        "SLURM_TEST_PORT": str(free_ports()),
        "SLURM_CONF": str(place / "cluster" / "etc" / "slurm.conf"),
    }

    def script(*arguments):
        return subprocess.run(
            [SCRIPT, *arguments], env=environ, capture_output=True, text=True, timeout=240, check=False
        )

    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen([SCRIPT, "guard", str(os.getpid())], env=environ, start_new_session=True, **quiet)
    done = script("up", "-n", "3", *(["-a"] if ACCOUNTING else []))
    if done.returncode != 0:
        script("down")
        pytest.fail(f"Slurm did not start\n{done.stdout}\n{done.stderr}")
    yield Slurm(environ, ACCOUNTING)
    script("down")


@pytest.fixture
def submitted(slurm, tmp_path, monkeypatch):
    """Submits the tiny configuration to the cluster."""
    for name, value in slurm.environ.items():
        monkeypatch.setenv(name, value)

    def do(*overrides, stage="train", nodes=1, minutes=5, array=1):
        asked = Resources(nodes=nodes, minutes=minutes)
        site = Site(python=sys.executable, train=asked, search=asked, search_array=asked, final=asked, report=asked)
        return submit(TINY, [f"run.root={tmp_path}", *overrides], stage=stage, cluster="slurm", site=site, array=array)

    return do
