"""Two trainings of one run: the second is refused before it changes anything."""

import os

import pytest
from tiny import tiny

from gtn_hpc.cluster.communicator import SoloCommunicator
from gtn_hpc.core.errors import RunError
from gtn_hpc.meta import holding
from gtn_hpc.meta.holding import held


def test_a_second_training_of_a_run_is_refused_until_the_first_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(holding, "PATIENCE", 0.0)
    config = tiny(tmp_path)
    with held(config, SoloCommunicator()) as run:
        assert run.path == tmp_path / "tiny"
        with (
            pytest.raises(RunError, match=rf"Another process is training in {run.path}: process {os.getpid()} on"),
            held(tiny(tmp_path, "meta.iterations=9"), SoloCommunicator()),
        ):
            pass
        assert "iterations: 4" in run.config.read_text()
        with held(tiny(tmp_path, "run.name=beside"), SoloCommunicator()) as beside:
            assert beside.path == tmp_path / "beside"
    run.update_state("train", wants_requeue=True)
    with held(config, SoloCommunicator()) as run:
        assert run.read_state()["wants_requeue"] is False
        assert (run.path / "config.yaml").is_file()
