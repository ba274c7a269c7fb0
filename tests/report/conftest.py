"""One run with every stage done, and its page, made once."""

import os
from pathlib import Path

import pytest
from report_runs import whole_run

from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.report.page import write


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return whole_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def reported(finished: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of that run."""
    return write([finished], tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="session")
def torch_blocked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which `import torch` fails."""
    directory: Path = tmp_path_factory.mktemp("blocked")
    (directory / "torch.py").write_text("raise ImportError('torch is blocked')\n")
    path = [str(directory), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
