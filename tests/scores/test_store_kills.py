"""Real processes killed while they append and fold: nothing acknowledged is lost, everything stays readable."""

import multiprocessing
import os
import random
import signal
import time

from score_rows import score

from gtn_hpc import scores
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import Journal, fold, read_journals

FORK = multiprocessing.get_context("fork")
KILLS = 20


def value(key):
    return random.Random(key).random()


def work(path, restart, acknowledged):
    """Appends groups of rows, some of them evaluated before, and folds now and then; never ends by itself."""
    run = RunDirectory(path)
    with Journal(run.journal, "job", restart=restart) as journal:
        for number in range(1_000_000):
            keys = [f"{number // 2}-{restart // 2}-{member}" for member in range(5)]
            journal.append([score(key, value(key), time=float(restart)) for key in keys])
            os.write(acknowledged, "".join(f"{key}\n" for key in keys).encode())
            if number % 20 == 10:
                fold(run, full=number % 40 == 10)


def kill_one(run, restart, moment):
    """Runs a worker and kills it `moment` seconds after its first rows; returns the keys that it acknowledged."""
    reading, writing = os.pipe()
    worker = FORK.Process(target=work, args=(run.path, restart, writing))
    worker.start()
    os.close(writing)
    with open(reading, "rb") as pipe:
        first = pipe.readline()
        time.sleep(moment)
        worker.kill()
        worker.join()
        lines = (first + pipe.read()).decode().split("\n")
    assert worker.exitcode == -signal.SIGKILL
    return lines[:-1]


def test_workers_killed_at_random_moments(tmp_path):
    run, draws = RunDirectory(tmp_path / "run"), random.Random(0)
    acknowledged = set()
    for restart in range(KILLS):
        acknowledged.update(kill_one(run, restart, draws.uniform(0, 0.3)))
        found = read_journals(run.journal)
        assert acknowledged <= {row.key for row in found.scores}
        assert all(damage.kind == "torn" for damage in found.damage)
        if run.scores.exists():
            with scores.open(run.path) as opened:
                assert opened.scores.key.is_unique
    report = fold(run)
    keys = {row.key for row in read_journals(run.journal).scores}
    assert report.rows["scores"] == len(keys) and not report.conflicts
    undisturbed = RunDirectory(tmp_path / "undisturbed")
    with Journal(undisturbed.journal) as journal:
        journal.append([score(key, value(key)) for key in keys])
    assert scores.digest(run.scores) == scores.digest(undisturbed) == scores.digest(run)
    assert scores.fsck(run).sound


def test_a_worker_killed_while_compacting(tmp_path):
    run = RunDirectory(tmp_path / "run")
    for rank in range(30):
        with Journal(run.journal, rank=rank) as journal:
            journal.append([score(f"{rank}-{number}", value(rank)) for number in range(30)])
    expected, draws = scores.digest(run), random.Random(1)
    for _ in range(5):
        worker = FORK.Process(target=scores.compact, args=(run,))
        worker.start()
        time.sleep(draws.uniform(0, 0.04))
        worker.kill()
        worker.join()
        assert scores.digest(run) == expected
    scores.compact(run)
    assert scores.digest(run) == expected and len(list(run.journal.glob("*.jsonl"))) == 1
