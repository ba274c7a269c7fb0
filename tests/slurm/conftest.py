"""One Slurm of three virtual nodes for all tests of this directory, ended with them."""

import atexit
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from slurm_jobs import TINY, Slurm

from gtn_hpc.config.site import Resources, Site
from gtn_hpc.launch import submit

SCRIPT = Path(__file__).with_name("slurm_cluster.sh")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "munged")


def pytest_collection_modifyitems(items):
    """All of these share the one cluster, thus one process of the suite."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slurm)
            if item.config.pluginmanager.hasplugin("xdist"):
                item.add_marker(pytest.mark.xdist_group("slurm"))


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """The running cluster."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        pytest.skip("a Slurm of virtual nodes needs root")
    place = tmp_path_factory.mktemp("slurm")
    environ = {
        **os.environ,
        "SLURM_TEST_DIR": str(place / "cluster"),
        "SLURM_TEST_PORT": os.environ.get("SLURM_TEST_PORT", "28400"),
        "SLURM_CONF": str(place / "cluster" / "etc" / "slurm.conf"),
    }

    def script(*arguments):
        return subprocess.run(
            [SCRIPT, *arguments], env=environ, capture_output=True, text=True, timeout=90, check=False
        )

    atexit.register(script, "down")
    done = script("up", "-n", "3")
    if done.returncode != 0:
        script("down")
        pytest.fail(f"Slurm did not start\n{done.stdout}\n{done.stderr}")
    yield Slurm(environ)
    script("down")


@pytest.fixture
def submitted(slurm, tmp_path, monkeypatch):
    """Submits the tiny configuration to the cluster."""
    for name, value in slurm.environ.items():
        monkeypatch.setenv(name, value)

    def do(*overrides, stage="train", nodes=1, minutes=5):
        asked = Resources(nodes=nodes, minutes=minutes)
        site = Site(python=sys.executable, train=asked, search=asked, final=asked, report=asked)
        return submit(TINY, [f"run.root={tmp_path}", *overrides], stage=stage, cluster="slurm", site=site)

    return do
