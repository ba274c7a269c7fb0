"""Independent jobs on one run directory: each row once, and a job that stands still is no hindrance."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from search_campaign import campaign, curriculum, share

from gtn_hpc.core.errors import UsageError
from gtn_hpc.scores import comparing
from gtn_hpc.scores.opened import open as open_scores
from gtn_hpc.scores.replay import read_journals

BUDGET = "search.budget=12"
FORK = multiprocessing.get_context("fork")


def prepared(path: Path) -> Path:
    torch.set_num_threads(1)
    path.mkdir()
    curriculum(path / "curriculum.h5")
    return path


def test_two_jobs_of_which_one_is_stopped_find_what_one_finds(tmp_path: Path) -> None:
    alone, shared = prepared(tmp_path / "alone"), prepared(tmp_path / "shared")
    campaign(alone, BUDGET, "search.certificate.fraction=0")
    journal = shared / "campaign" / "journal"
    stopped, other = (FORK.Process(target=share, args=(shared, BUDGET, "search.expiry=1.5")) for _ in range(2))
    stopped.start()
    while not read_journals(journal).scores and stopped.is_alive():
        time.sleep(0.005)
    os.kill(stopped.pid or 0, signal.SIGSTOP)
    os.waitid(os.P_PID, stopped.pid or 0, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    held = {path.name.partition(".")[0] for path in (journal / "claims").glob("*.0")}
    held -= {score.key for score in read_journals(journal).scores}
    other.start()
    other.join()
    rows = read_journals(journal).scores
    assert other.exitcode == 0
    assert len({score.key for score in rows}) == len(rows) == 24
    assert comparing.digest(shared / "campaign") == comparing.digest(alone / "campaign")
    assert all((journal / "claims" / f"{key}.1").exists() for key in held)
    os.kill(stopped.pid or 0, signal.SIGCONT)
    stopped.join()
    assert stopped.exitcode == 0
    assert comparing.digest(shared / "campaign") == comparing.digest(alone / "campaign")
    with open_scores(shared / "campaign" / "scores.h5") as tables:
        assert tables.scores.key.is_unique
        assert tables.conflicts.empty
        assert len(tables.asks) == len(tables.architectures) == 12
    assert campaign(shared, BUDGET).certified == 3


def test_two_jobs_at_the_same_time_do_each_evaluation_once(tmp_path: Path) -> None:
    place = prepared(tmp_path / "shared")
    jobs = [FORK.Process(target=share, args=(place, BUDGET)) for _ in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    rows = read_journals(place / "campaign" / "journal").scores
    assert [job.exitcode for job in jobs] == [0, 0]
    assert len({score.key for score in rows}) == len(rows) == 24


def test_an_algorithm_that_learns_cannot_be_shared(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pool is shared, but the algorithm evolution learns"):
        share(prepared(tmp_path / "shared"), "search.algorithm={name: evolution}")
