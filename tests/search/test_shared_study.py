"""Independent jobs on one run directory: each row once, and a job that stands still is no hindrance."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from search_campaign import begin, campaign, curriculum, share

from gtn_hpc.cluster.deadline import Deadline
from gtn_hpc.config.searching import ConvSpace
from gtn_hpc.core.errors import UsageError
from gtn_hpc.core.lock import sole
from gtn_hpc.core.records import ImageShape, Score
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.farm.claims import Claims
from gtn_hpc.scores import comparing
from gtn_hpc.scores.journal import Journal
from gtn_hpc.scores.opened import open as open_scores
from gtn_hpc.scores.replay import JournalReader, read_journals, read_more
from gtn_hpc.scores.rows import CertificateRow
from gtn_hpc.search import pools, shards, shared
from gtn_hpc.search.backlog import Backlog
from gtn_hpc.search.study import requests_of
from gtn_hpc.search.watch import SILENT, Watch
from gtn_hpc.spaces import make_space
from gtn_hpc.training.request import Identity, Request

BUDGET = "search.budget=12"
CONV = make_space(ConvSpace(), ImageShape(1, 8, 8), 10)
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
    assert [ask.order for ask in read_journals(place / "campaign" / "journal").asks] == list(range(12))


def counted(monkeypatch: pytest.MonkeyPatch, kind: type, method: str) -> list[object]:
    """What `method` is called with from now on."""
    calls, original = list[object](), getattr(kind, method)
    monkeypatch.setattr(kind, method, lambda self, *given: calls.append(given) or original(self, *given))
    return calls


def test_a_job_that_finds_everything_done_claims_nothing_and_reads_once(tmp_path: Path, monkeypatch) -> None:
    """And the fold does, once."""
    place = prepared(tmp_path / "shared")
    assert share(place, BUDGET) == 24
    takes, looks = counted(monkeypatch, Claims, "take"), counted(monkeypatch, JournalReader, "_grown")
    assert share(place, BUDGET) == 0
    assert (len(takes), len(looks)) == (0, 2)


class Setting(NamedTuple):
    """As much of one as taking needs."""

    identity: Identity


def taking(path: Path, count: int) -> tuple[Iterator[Request | None], list[str], Claims]:
    """What a job takes of `count` requests, their keys from the longest down, and its claims."""
    setting, backlog = Setting(Identity("common", "curriculum", "real")), Backlog(CONV)
    arch, claims = CONV.canonical(CONV.sample(np.random.default_rng(0))), Claims(path / "claims", 60.0)
    (path / "claims").mkdir(parents=True)
    backlog.extend(requests := [Request(arch, steps) for steps in range(count, 0, -1)])
    rows = shared.Rows(JournalReader(path), backlog, claims, setting.identity)
    keys = [setting.identity.key(request) for request in requests]
    return shared._taken(backlog, setting, rows, claims, SILENT), keys, claims  # type: ignore[arg-type]


def test_looks_at_other_journals_do_not_grow_with_the_requests(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(shared, "LOOK", 3600.0)
    looks = counted(monkeypatch, JournalReader, "_grown")
    taken, keys, _ = taking(tmp_path, 300)
    identity = Identity("common", "curriculum", "real")
    assert [identity.key(next(taken)) for _ in range(300)] == keys
    assert len(looks) == 1


def test_work_of_a_lapsed_claim_is_done_only_if_its_row_is_not_there(tmp_path: Path, monkeypatch) -> None:
    """Rows and claims that come after the job has looked, and before it would look again."""
    monkeypatch.setattr(shared, "LOOK", 3600.0)
    taken, keys, claims = taking(tmp_path, 6)
    first = next(taken)
    for key in keys[1:5]:
        (tmp_path / "claims" / f"{key}.0").touch()
    for key in keys[2:5]:
        os.utime(tmp_path / "claims" / f"{key}.0", (0, 0))
    with Journal(tmp_path, "other", 0) as journal:
        journal.append([Score(keys[2], first.arch.digest, 4, 0, 0.5, 1.0, "ok", 1.0, 0, 1, 1)])
    assert [next(taken).fidelity for _ in range(3)] == [3, 2, 1]
    assert not (tmp_path / "claims" / f"{keys[1]}.1").exists()
    assert (claims.taken_over(keys[3]), claims.taken_over(keys[5])) == (True, False)
    assert keys[2] not in claims._held


def test_a_job_waits_for_others_without_leaving_its_own_evaluations_alone(tmp_path: Path) -> None:
    """Whoever takes gets the word back while nothing is free, and what was taken once is not asked for again."""
    taken, keys, claims = taking(tmp_path, 2)
    (tmp_path / "claims" / f"{keys[1]}.0").touch()
    assert [None if request is None else request.fidelity for request in islice(taken, 3)] == [2, None, None]
    with Journal(tmp_path, "other", 0) as journal:
        journal.append([Score(keys[1], "arch", 1, 0, 0.5, 1.0, "ok", 1.0, 0, 1, 1)])
    assert next(request for request in chain(taken, ["the end"]) if request is not None) == "the end"
    assert list(claims._held) == keys[:1]


def passing(claims: Path) -> Deadline:
    """A deadline that is over once there are two claims."""

    class Passing(Deadline):
        @property
        def left(self) -> float:
            return 3600.0 if len(list(claims.glob("*.0"))) < 2 else -1.0

    return Passing(0.0)


def test_a_job_that_ran_out_of_time_asks_for_no_requeue_where_all_was_done_meanwhile(tmp_path, monkeypatch) -> None:
    """Two evaluations: another job holds the second, and writes its row after this one has looked for the last time."""
    config, run = begin(place := prepared(tmp_path / "shared"), "search.budget=1", "search.pool=shared")
    setting = pools.setting_of(config, run, place / "curriculum.h5")
    keys = [setting.identity.key(r) for r in requests_of(shards.propose(config, setting), 2)]
    (run.journal / "claims").mkdir(parents=True)
    (run.journal / "claims" / f"{keys[1]}.0").touch()
    monkeypatch.setattr(shared, "LOOK", 3600.0)
    monkeypatch.setattr(shared, "deadline_of", lambda run_, environ: passing(run.journal / "claims"))

    def other(row: Score | CertificateRow) -> None:
        with Journal(run.journal, "other", 0) as journal:
            journal.append([replace(row, key=keys[1], replica=1)])

    assert shared.search_shared(config, run, place / "curriculum.h5", Watch(row=other)) == 1
    assert {row.key for row in read_journals(run.journal).scores} == set(keys)


def proposing(place: Path) -> tuple[RunDirectory, Callable[[], None]]:
    """A run directory, and what writes down the proposals of a search of 12 from what the journals held before."""
    config, run = begin(place, BUDGET, "search.pool=shared")
    setting = pools.setting_of(config, run, place / "curriculum.h5")
    before, proposals = read_more(reader := JournalReader(run.journal)), shards.propose(config, setting)
    return run, lambda: shards.write_down(proposals, before, reader, setting, run)


def test_jobs_that_start_together_write_their_proposals_down_once(tmp_path: Path) -> None:
    run, write = proposing(prepared(tmp_path / "shared"))
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(write) for _ in range(8)]:
            done.result()
    rows = read_journals(run.journal)
    assert [ask.order for ask in rows.asks] == list(range(12))
    assert len(rows.architectures) == 12


def test_a_job_that_stands_still_with_half_of_them_written_keeps_no_other_waiting(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shards, "PATIENCE", 0.5)
    run, write = proposing(prepared(tmp_path / "shared"))
    write()
    (path,) = [path for path in run.journal.glob("*.jsonl") if path.stat().st_size]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]))
    half = len(read_journals(run.journal).asks)
    with sole(run.journal / "proposals.lock", "standing still"):
        write()
    assert 0 < half < 12
    assert [ask.order for ask in read_journals(run.journal).asks] == list(range(12))


def test_an_algorithm_that_learns_cannot_be_shared(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pool is shared, but the algorithm evolution learns"):
        share(prepared(tmp_path / "shared"), "search.algorithm={name: evolution}")
