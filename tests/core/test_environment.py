import json
import platform
import subprocess

import pytest

from gtn_hpc.core import environment


def test_it_names_versions_machine_and_revision(root):
    here = json.loads(json.dumps(environment.describe()))
    assert here["python"] == platform.python_version()
    assert here["packages"]["numpy"].count(".") == 2
    assert here["packages"]["h5py"] is not None
    assert here["cores"] >= 1
    if (root / ".git").exists():
        revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True).stdout.strip()
        assert here["revision"] == revision


def test_slurm_is_recorded_without_credentials(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    monkeypatch.setenv("SLURM_JWT", "secret")
    assert environment.describe()["slurm"]["SLURM_JOB_ID"] == "42"
    assert "secret" not in json.dumps(environment.describe())


def test_modules_and_the_batch_script_are_recorded(monkeypatch):
    monkeypatch.setenv("LOADEDMODULES", "gcc/12:openmpi/5")
    monkeypatch.setenv("GTN_SBATCH", "#SBATCH --nodes=2")
    found = environment.describe()
    assert (found["modules"], found["sbatch"]) == (["gcc/12", "openmpi/5"], "#SBATCH --nodes=2")
    monkeypatch.delenv("LOADEDMODULES")
    assert environment.describe()["modules"] == []


def test_gpus_are_named_by_their_driver(monkeypatch, tmp_path):
    for number, text in enumerate(["Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t 27\n", "IRQ: 5\n"]):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "information").write_text(text)
    monkeypatch.setattr(environment, "GPUS", tmp_path)
    assert environment._gpus() == ["NVIDIA H100 80GB HBM3"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert environment.gpus_of_job() == 1
    for visible, gpus in (("3", 1), ("GPU-a,GPU-b", 2), ("", 0)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert environment.gpus_of_job() == gpus
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", "4")
    assert environment.gpus_of_job() == 4
    monkeypatch.setattr(environment, "GPUS", tmp_path / "nowhere")
    assert environment._gpus() == []


@pytest.mark.parametrize("visible", [None, "", "2,3"])
def test_the_gpus_that_a_process_may_see_are_recorded(monkeypatch, visible):
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert environment.describe()["visible_gpus"] == visible


def test_without_git_there_is_no_revision(launch):
    import sys

    program = "from gtn_hpc.core import environment; print(environment.describe()['revision'])"
    assert launch([sys.executable, "-c", program], environ={"PATH": "/nowhere"}).stdout == "None\n"
