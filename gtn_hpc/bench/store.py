"""`gtn bench store`: acknowledged rows a second, store beside store, and the fold of many rows."""

import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gtn_hpc.core.environment import describe
from gtn_hpc.core.records import Score, digest
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores.folding import fold
from gtn_hpc.scores.journal import Journal

Row = dict[str, Any]

GROUP = 50
"""Rows that our journal makes durable together, as a manager of many workers does."""

SPAWN = multiprocessing.get_context("spawn")


def run(rows: int = 1_000_000, rival_rows: int = 300, *, say: Callable[[str], object] = print) -> dict[str, Any]:
    """Rows a second that were on disk when their writer went on: ours in groups and one by one, Optuna's journal and
    SQLite through `tell`; then the fold of `rows` rows in a process of its own. Returns the report of design.md.
    """
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        run_directory = RunDirectory(Path(place) / "bench")
        found.append({"system": "gtn", "group": GROUP, **_append(run_directory.journal, rows, GROUP)})
        say(f"gtn, {rows} rows in groups of {GROUP}")
        found[0] |= _fold(run_directory)
        say("fold")
        found.append({"system": "gtn", "group": 1, **_append(Path(place) / "single", min(rows, 5000), 1)})
        for name in ("journal", "sqlite"):
            found.append({"system": f"optuna {name}", "group": 1, **_optuna(name, Path(place), rival_rows)})
            say(f"optuna {name}")
    return {"bench": "store", "workload": f"{rows} rows", "environment": describe(), "rows": found}


def _append(directory: Path, rows: int, group: int) -> Row:
    """Counts the time in `append`; the rows are made before it."""
    seconds = busy = 0.0
    with Journal(directory) as journal:
        for start in range(0, rows, group):
            made = _scores(start, min(start + group, rows))
            began, worked = time.perf_counter(), time.process_time()
            journal.append(made)
            seconds, busy = seconds + time.perf_counter() - began, busy + time.process_time() - worked
    return {"rows": rows, "rows_per_s": round(rows / seconds), "rows_per_cpu_s": round(rows / busy)}


def _scores(start: int, end: int) -> Sequence[Score]:
    return [
        Score(
            key=digest(number)[:32],
            arch=digest(-1 - number),
            fidelity=32,
            replica=0,
            val_accuracy=number % 997 / 997,
            val_loss=1.0,
            status="ok",
            seconds=0.5,
            peak_bytes=1 << 28,
            params=number,
            flops=2 * number,
            ask=number,
            host="node",
            job="1",
            time=1e9,
            curve={16: 0.25},
        )
        for number in range(start, end)
    ]


def _fold(run: RunDirectory) -> Row:
    """In a fresh process, whose memory is the fold's own."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_fold_and_tell, args=(run, theirs))
    process.start()
    found: Row = ours.recv()
    process.join()
    return found


def _fold_and_tell(run: RunDirectory, pipe: Any) -> None:
    began, busy = time.perf_counter(), time.process_time()
    rows = fold(run).rows["scores"]
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    again = time.perf_counter()
    fold(run)
    pipe.send(
        {
            "fold_rows": rows,
            "fold_s": round(seconds, 2),
            "fold_cpu_s": round(busy, 2),
            "fold_peak_mib": round(peak / 2**20),
            "fold_again_s": round(time.perf_counter() - again, 2),
            "file_mib": round(run.scores.stat().st_size / 2**20),
        }
    )


def _optuna(name: str, place: Path, rows: int) -> Row:
    """A study whose trials are asked for and told one by one, as one manager does."""
    try:
        import optuna
    except ImportError:
        return {"skipped": "optuna is not installed"}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if name == "sqlite":
        storage: Any = f"sqlite:///{place}/optuna.db"
    else:
        from optuna.storages.journal import JournalFileBackend

        storage = optuna.storages.JournalStorage(JournalFileBackend(str(place / "optuna.log")))
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0), direction="maximize")
    began = time.perf_counter()
    for number in range(rows):
        trial = study.ask()
        trial.suggest_int("width", 8, 64)
        trial.set_user_attr("row", json.dumps({"seconds": 0.5, "peak": number}))
        study.tell(trial, number % 997 / 997)
    return {"rows": rows, "rows_per_s": round(rows / (time.perf_counter() - began))}
