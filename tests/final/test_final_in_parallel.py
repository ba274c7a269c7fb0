"""Winners trained at the same time, by workers of one process and by ranks of a real mpiexec: the same bits."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from final_runs import scored

from gtn_hpc.config import Config
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.final.stage import run_final
from gtn_hpc.scores.replay import read_journals
from gtn_hpc.scores.rows import FinalRow

pytest.importorskip("mpi4py")
WAIT = 240.0
EPOCHS = "final.epochs=4"
ACCURACIES = (0.2, 0.9, 0.5, 0.7)
WINNERS = 3

WORKERS = ([], ["search.workers=2"])
RANKS = (["mpiexec", "-n", "3"], [])
PARALLEL = ["workers", "ranks"]
HoldAt = Callable[[str], Any]
THIRD = "step-000003"
"""What a training waits at in tests that have to meet it before its end."""


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> list[FinalRow]:
    """Trained one after another, each in one stretch."""
    root = tmp_path_factory.mktemp("serial")
    config, run, _ = scored(root, ACCURACIES, EPOCHS, f"final.top_k={WINNERS}", "final.checkpoint_every=4")
    return [same(row) for row in run_final(config, run)]


def same(row: FinalRow) -> FinalRow:
    """Without what may differ."""
    return replace(row, seconds=0.0, time=0.0, peak_bytes=0, rank=0, host="", job="")


def prepared(root: Path) -> tuple[Config, RunDirectory]:
    config, run, _ = scored(root, ACCURACIES, EPOCHS, f"final.top_k={WINNERS}")
    return config, run


def gtn_final(run: RunDirectory, how: str, *more: str, **environ: str) -> "subprocess.Popen[str]":
    launcher, settings = {"workers": WORKERS, "ranks": RANKS}[how]
    command = [*launcher, sys.executable, "-m", "gtn_hpc", "final", run.path, *settings, *more, "--json"]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", **environ}
    return subprocess.Popen(command, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def is_under_way(checkpoints: Path) -> bool:
    return any(not path.name.endswith(("-000000", "-000001")) for path in checkpoints.glob("step-*"))


def wait_for_checkpoints(run: RunDirectory, process: "subprocess.Popen[str]", of: int) -> None:
    """Until `of` trainings are past their second epoch."""
    deadline = time.monotonic() + WAIT
    while sum(map(is_under_way, run.path.glob("final/*"))) < of:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def wait_for_the_wish(run: RunDirectory, process: "subprocess.Popen[str]") -> None:
    """Until whoever got the signal has said so."""
    deadline = time.monotonic() + WAIT
    while not run.read_state()["wants_requeue"]:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def rows_of(run: RunDirectory) -> list[FinalRow]:
    return sorted(read_journals(run.journal).finals, key=lambda row: row.extra["place"])


@pytest.mark.parametrize("how", PARALLEL)
def test_rows_do_not_depend_on_who_trained_them(tmp_path: Path, serial: list[FinalRow], how: str) -> None:
    """Each in one stretch, so that whoever has it is busy while the others are handed out."""
    _, run = prepared(tmp_path)
    with gtn_final(run, how, "final.checkpoint_every=4") as process:
        told, complaints = process.communicate(timeout=WAIT)
    assert process.returncode == 0, complaints
    assert [row["arch"] for row in json.loads(told)["final"]] == [row.arch for row in serial]
    rows = rows_of(run)
    assert [same(row) for row in rows] == serial
    assert {row.rank for row in rows} == ({0, 1} if how == "workers" else {1, 2})


@pytest.mark.parametrize("how", PARALLEL)
def test_a_stop_leaves_a_checkpoint_of_each_and_a_new_start_goes_on(
    tmp_path: Path, serial: list[FinalRow], how: str, hold_at: HoldAt
) -> None:
    """In the new start stretches of one training may be of several ranks."""
    (_, run), hold = prepared(tmp_path), hold_at(THIRD)
    with gtn_final(run, how, **hold.environ) as process:
        wait_for_checkpoints(run, process, of=2)
        process.send_signal(signal.SIGTERM if how == "workers" else signal.SIGUSR2)
        wait_for_the_wish(run, process)
        hold.release()
        _, complaints = process.communicate(timeout=WAIT)
    assert process.returncode == 75
    assert "Start it again: it goes on where it was." in complaints
    assert "Traceback" not in complaints
    assert run.read_state()["wants_requeue"] is True
    with gtn_final(run, how) as process:
        _, complaints = process.communicate(timeout=WAIT)
    assert process.returncode == 0, complaints
    rows = rows_of(run)
    assert [same(row) for row in rows] == serial
    assert {row.rank for row in rows} <= ({0, 1} if how == "workers" else {1, 2})


@pytest.mark.parametrize("how", PARALLEL)
def test_a_killed_one_goes_on_to_the_same_rows(
    tmp_path: Path, serial: list[FinalRow], how: str, hold_at: HoldAt
) -> None:
    config, run = prepared(tmp_path)
    with gtn_final(run, how, **hold_at(THIRD).environ) as process:
        wait_for_checkpoints(run, process, of=2)
        process.kill()
    assert len(rows_of(run)) < WINNERS
    assert [same(row) for row in run_final(config, run)] == serial


def test_a_child_that_is_killed_is_replaced(tmp_path: Path, serial: list[FinalRow], hold_at: HoldAt) -> None:
    (_, run), hold = prepared(tmp_path), hold_at(THIRD)
    with gtn_final(run, "workers", **hold.environ) as process:
        wait_for_checkpoints(run, process, of=2)
        nursery = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
        child = int(Path(f"/proc/{nursery}/task/{nursery}/children").read_text().split()[0])
        os.kill(child, signal.SIGKILL)
        hold.release()
        _, complaints = process.communicate(timeout=WAIT)
    assert process.returncode == 0, complaints
    assert [same(row) for row in rows_of(run)] == serial


def test_ranks_without_work_end(tmp_path: Path) -> None:
    config, run, _ = scored(tmp_path / "trained", [0.9])
    run_final(config, run)
    rows = rows_of(run)
    _, empty, _ = scored(tmp_path / "empty", [])
    for place, code, words in ((run, 0, rows[0].arch), (empty, 1, "has no scored architecture to train")):
        with gtn_final(place, "ranks") as process:
            told, complaints = process.communicate(timeout=WAIT)
        assert process.returncode == code
        assert words in told + complaints
    assert rows_of(run) == rows
