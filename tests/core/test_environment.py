import json
import platform
import subprocess

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


def test_without_git_there_is_no_revision(launch):
    import sys

    program = "from gtn_hpc.core import environment; print(environment.describe()['revision'])"
    assert launch([sys.executable, "-c", program], environ={"PATH": "/nowhere"}).stdout == "None\n"
