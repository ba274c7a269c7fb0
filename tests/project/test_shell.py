"""Shell scripts are free of the errors that shellcheck knows."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted([ROOT / ".ci" / "run", *(ROOT / "tests").rglob("*.sh"), *(ROOT / "slurm").rglob("*.sh")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_shellcheck_finds_nothing(launch, script):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = launch(["shellcheck", script], check=False)
    assert done.returncode == 0, done.stdout
