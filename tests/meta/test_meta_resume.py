"""Cut off anywhere and by anything, at any number of ranks, a run ends where it would have ended."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import alone, tiny

from gtn_hpc.config import dump
from gtn_hpc.core.errors import Requeue, RunError
from gtn_hpc.core.lock import sole
from gtn_hpc.meta import holding, loop
from gtn_hpc.meta.events import Iterated, Noted, Refused, Resumed, WentBack
from gtn_hpc.meta.setup import make_task
from gtn_hpc.meta.stage import train

LONG = ("meta.iterations=40", "meta.checkpoint_every=7")
HELD = Path(__file__).with_name("held_program.py")


@pytest.fixture(scope="module")
def digest(tmp_path_factory):
    """Of the run that nothing disturbed."""
    return train(tiny(tmp_path_factory.mktemp("straight"), *LONG), alone()).frozen.digest()


def stopping_at(iteration):
    def observe(event):
        if isinstance(event, Iterated) and event.iteration == iteration:
            os.kill(os.getpid(), signal.SIGTERM)

    return observe


def test_stopped_and_resumed_again_and_again_it_ends_the_same(tmp_path, digest):
    config = tiny(tmp_path, *LONG)
    for iteration in (0, 17, 38):
        with pytest.raises(Requeue, match=f"SIGTERM after {iteration + 1} of 40"):
            train(config, alone(), [stopping_at(iteration)])
        state = json.loads((tmp_path / "tiny" / "state.json").read_text())
        assert state["wants_requeue"] is True
        assert state["stages"]["train"]["iteration"] == iteration + 1
    seen = []
    taught = train(config, alone(), [seen.append])
    assert [event.iteration for event in seen if isinstance(event, Resumed)] == [39]
    assert taught.frozen.digest() == digest
    assert json.loads((tmp_path / "tiny" / "state.json").read_text())["wants_requeue"] is False


def test_a_signal_is_told_at_once_and_not_with_the_next_checkpoint(tmp_path, monkeypatch):
    """A launcher may kill the ranks in the middle of a long meta-iteration."""
    told = []

    def signalled(room, iteration, replica, generation=0):
        if (iteration, replica) == (3, 0):
            os.kill(os.getpid(), signal.SIGTERM)
            state = json.loads((tmp_path / "tiny" / "state.json").read_text())
            told.append((state["wants_requeue"], state["stages"]["train"]["iteration"]))
        return make_task(room, iteration, replica, generation)

    monkeypatch.setattr(loop, "make_task", signalled)
    with pytest.raises(Requeue, match="SIGTERM after 4 of"):
        train(tiny(tmp_path, *LONG), alone(), [])
    assert told == [(True, 0)]


@pytest.mark.parametrize(
    ("when", "saved"),
    [
        (lambda e: isinstance(e, Iterated) and e.iteration == 5, 6),
        (lambda e: isinstance(e, Refused) and e.iteration == 7, 8),
    ],
)
def test_a_stop_does_not_change_where_a_diverged_run_goes_back_to(tmp_path, monkeypatch, when, saved):
    """Not finite at meta-iterations 6 to 8; stopped before the first of them, or amid them, where all is saved too."""

    def struck(room, iteration, replica, generation=0):
        task = make_task(room, iteration, replica, generation)
        last, batch = max(task.real.items())
        spoilt = {**task.real, last: batch._replace(x=batch.x * math.nan)}
        return replace(task, real=spoilt) if 6 <= iteration < 9 and generation == 0 else task

    monkeypatch.setattr(loop, "make_task", struck)
    options = (
        "meta.iterations=14",
        "meta.checkpoint_every=5",
        "meta.max_refused=3",
        "meta.max_returns=2",
        "meta.keep=1",
    )
    straight, other, seen = tiny(tmp_path / "straight", *options), tiny(tmp_path / "stopped", *options), []
    expected = train(straight, alone(), [seen.append]).frozen.digest()
    with pytest.raises(Requeue):
        train(other, alone(), [lambda event: when(event) and os.kill(os.getpid(), signal.SIGTERM)])
    assert json.loads((tmp_path / "stopped" / "tiny" / "state.json").read_text())["wants_requeue"] is True
    assert train(other, alone(), [seen.append]).frozen.digest() == expected
    assert [event.iteration for event in seen if isinstance(event, WentBack)] == [5, 5]
    assert [event.iteration for event in seen if isinstance(event, Resumed)] == [saved]


def test_going_back_leaves_nothing_that_a_new_start_would_take_first(tmp_path, monkeypatch):
    """Saved at 6 by a stop, diverged at 6, gone back to 5, stopped at 6 once more: it goes on with fresh streams."""

    def struck(room, iteration, replica, generation=0):
        task = make_task(room, iteration, replica, generation)
        last, batch = max(task.real.items())
        spoilt = {**task.real, last: batch._replace(x=batch.x * math.nan)}
        return replace(task, real=spoilt) if iteration == 6 and generation == 0 else task

    monkeypatch.setattr(loop, "make_task", struck)
    config = tiny(tmp_path, "meta.iterations=14", "meta.checkpoint_every=5", "meta.max_refused=1")
    seen = []
    for _ in range(2):
        with pytest.raises(Requeue, match="after 6 of 14"):
            train(config, alone(), [seen.append, stopping_at(5)])
    train(config, alone(), [seen.append])
    assert [event.iteration for event in seen if isinstance(event, WentBack)] == [5]
    assert [event.iteration for event in seen if isinstance(event, Resumed)] == [6, 6]


def test_a_run_that_another_process_trains_is_left_alone(tmp_path, monkeypatch):
    config, lock = tiny(tmp_path, *LONG), tmp_path / "tiny" / "train.lock"
    monkeypatch.setattr(holding, "PATIENCE", 0.5)
    with sole(lock, "in a test"), pytest.raises(RunError, match=f"training in .*: process {os.getpid()}"):
        train(config, alone())
    assert not (tmp_path / "tiny" / "checkpoints").exists()
    with pytest.raises(Requeue), sole(tmp_path / "other.lock", "in a test"):
        train(config, alone(), [stopping_at(3)])
    with sole(lock, "in a test"):
        assert lock.read_text().startswith(f"process {os.getpid()}")


def test_a_checkpoint_without_its_configuration_beside_it_is_no_start_for_another(tmp_path):
    """As where a run's directory was deleted while the run was alive, which then saved once more."""
    config = tiny(tmp_path, *LONG)
    with pytest.raises(Requeue):
        train(config, alone(), [stopping_at(3)])
    for name in ("config.yaml", "state.json"):
        (tmp_path / "tiny" / name).unlink()
    with pytest.raises(RunError, match=r"meta\.lr: was .*, now 0\.123"):
        train(tiny(tmp_path, *LONG, "meta.lr=0.123"), alone())
    for name in ("config.yaml", "state.json"):
        (tmp_path / "tiny" / name).unlink()
    seen = []
    train(config, alone(), [seen.append])
    assert [event.iteration for event in seen if isinstance(event, Resumed)] == [4]


def test_a_damaged_checkpoint_is_passed_over_and_said_so(tmp_path, digest):
    config = tiny(tmp_path, *LONG)
    with pytest.raises(Requeue):
        train(config, alone(), [stopping_at(23)])
    (tmp_path / "tiny" / "checkpoints" / "step-000024" / "state.pt").write_bytes(b"torn")
    seen = []
    assert train(config, alone(), [seen.append]).frozen.digest() == digest
    assert [event.iteration for event in seen if isinstance(event, Resumed)] == [21]
    assert any(isinstance(event, Noted) and "damaged" in event.message for event in seen)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGKILL, -9)])
def test_a_signal_at_any_moment_costs_no_bit(tmp_path, digest, number, code):
    config = tmp_path / "tiny.yaml"
    config.write_text(dump(tiny(tmp_path, *LONG)))
    may_end = tmp_path / "signalled"
    command = [sys.executable, HELD, may_end, "train", config]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    events = tmp_path / "tiny" / "events" / "train.jsonl"
    deadline = time.monotonic() + 120
    wanted = 9 + os.getpid() % 15
    while not (events.is_file() and events.read_bytes().count(b"\n") >= wanted) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    may_end.touch()
    _, said = process.communicate(timeout=120)
    assert process.returncode == code
    assert "Traceback" not in said
    if number == signal.SIGTERM:
        assert "SIGTERM" in said
        assert json.loads((tmp_path / "tiny" / "state.json").read_text())["wants_requeue"] is True
    seen = []
    assert train(tiny(tmp_path, *LONG), alone(), [seen.append]).frozen.digest() == digest
    assert any(isinstance(event, Resumed) for event in seen)
