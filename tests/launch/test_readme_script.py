"""The batch script of the README requeues its job for a stop of its own step alone, and not for ever."""

import re

import pytest

from gtn_hpc.config import load

CONFIG = "configs/small/fashion_mnist.yaml"
STEP = """
import sys
from pathlib import Path
from gtn_hpc.core.rundir import RunDirectory
if len(sys.argv) > 1:
    RunDirectory(Path(sys.argv[1])).update_state("train", wants_requeue=True)
sys.exit(1)
"""


@pytest.fixture
def run(root, tmp_path, monkeypatch):
    """The run of the script `job` in this directory, where stand-ins note what is asked of Slurm in `told`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    blocks = re.findall(r"^```\n(.*?)^```", (root / "README.md").read_text(), flags=re.DOTALL | re.MULTILINE)
    (script,) = [block for block in blocks if "#SBATCH" in block]
    assert len(script.splitlines()) == 10
    for name, text in {
        "job": script,
        "step.py": STEP,
        CONFIG: (root / CONFIG).read_text(),
        ".venv/bin/activate": "PATH=$PWD/bin:$PATH\n",
        "bin/mpiexec": "#!/bin/bash\nexec python step.py $STOPPED\n",
        "bin/scontrol": "#!/bin/bash\necho $* >> told\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return load(CONFIG).run.directory


@pytest.mark.parametrize(("restarts", "requeues"), [("19", "requeue 8\n"), ("20", "")])
def test_a_stopped_step_is_put_back_so_often(run, launch, tmp_path, restarts, requeues):
    (tmp_path / "told").touch()
    launch(["bash", "job"], environ={"STOPPED": str(run.path), "SLURM_RESTART_COUNT": restarts}, check=False)
    assert (tmp_path / "told").read_text() == requeues


def test_a_step_that_fails_where_an_earlier_one_was_stopped_is_not(run, launch, tmp_path):
    run.update_state("train", wants_requeue=True)
    with run.changing() as state:
        state["stages"]["train"]["updated"] -= 60
    done = launch(["bash", "job"], check=False)
    assert not (tmp_path / "told").exists()
    assert (done.returncode, done.stdout) == (3, "train: the stage failed with exit code 1\n")
