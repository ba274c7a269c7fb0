"""The forwarding table of docs/distributed.md with real launchers: a signal, a whole checkpoint, a requeue wanted."""

import json
import shutil
import signal
import sys
import time

import pytest
from survival_runs import TIME_LIMIT, TINY, alone, processes, tiny

from gtn_hpc.checkpoint import latest
from gtn_hpc.core.errors import Requeue

GTN = ["-m", "gtn_hpc", "train", str(TINY), "meta.iterations=100000", "meta.replicas=2", "meta.checkpoint_every=1000"]
LAUNCHERS = {
    "alone TERM": ([sys.executable], signal.SIGTERM, 75),
    "alone USR2": ([sys.executable], signal.SIGUSR2, 75),
    "torchrun TERM": (["torchrun", "--nproc-per-node", "2"], signal.SIGTERM, 1),
    "mpiexec USR2": (["mpiexec", "-n", "2", sys.executable], signal.SIGUSR2, 75),
}
"""How it is started, what it is sent, and the exit code that the launcher makes of 75."""


def begun(run):
    """Some meta-iterations are done."""
    log = run / "events" / "train.jsonl"
    return log.is_file() and b'"iterated"' in log.read_bytes()


@pytest.mark.parametrize("name", LAUNCHERS)
def test_from_a_signal_to_a_checkpoint_and_a_requeue(tmp_path, name):
    launcher, number, code = LAUNCHERS[name]
    if shutil.which(launcher[0]) is None:
        pytest.skip(f"{launcher[0]} is not installed")
    run = tmp_path / "tiny"
    with processes([[*launcher, *GTN, f"run.root={tmp_path}"]], [{}]) as (process,):
        end = time.monotonic() + TIME_LIMIT
        while not begun(run):
            assert process.poll() is None and time.monotonic() < end, process.communicate(timeout=1)
            time.sleep(0.05)
        process.send_signal(number)
        said = process.communicate(timeout=TIME_LIMIT)[0]
    assert process.returncode == code, said
    state, saved = json.loads((run / "state.json").read_text()), latest(run / "checkpoints")
    assert state["wants_requeue"]
    assert saved.step == saved.meta["place"]["done"] == state["stages"]["train"]["iteration"] > 0
    assert f"Stopped by {number.name} after {saved.step} of 100000" in said


def test_the_deadline_stops_as_a_signal_does(tmp_path):
    with pytest.raises(Requeue, match="Stopped by the deadline after"):
        alone(tiny(tmp_path, meta__iterations=100000, run__deadline=1))
    state = json.loads((tmp_path / "tiny" / "state.json").read_text())
    assert state["wants_requeue"]
    assert latest(tmp_path / "tiny" / "checkpoints").step == state["stages"]["train"]["iteration"]


def test_the_end_of_a_slurm_job_is_a_deadline(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 30))
    with pytest.raises(Requeue, match="Stopped by the deadline after 1 of"):
        alone(tiny(tmp_path, meta__iterations=100000, run__margin=60))
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 3600))
    alone(tiny(tmp_path, run__name="in-time", meta__iterations=2))
