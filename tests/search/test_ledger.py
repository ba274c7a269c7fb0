"""The manager's journal: asks and tells come back in their order, gaps are noticed, one manager writes."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from gtn_hpc.config.searching import ConvSpace
from gtn_hpc.core.errors import RunError
from gtn_hpc.core.records import ImageShape, Score
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores.journal import Journal
from gtn_hpc.scores.replay import Journals, read_journals
from gtn_hpc.search import lock
from gtn_hpc.search.algorithm import Outcome, Proposal
from gtn_hpc.search.ledger import JournalLedger, events
from gtn_hpc.search.lock import sole_manager
from gtn_hpc.search.study import Asked, Told
from gtn_hpc.spaces import make_space

SPACE = make_space(ConvSpace(), ImageShape(1, 8, 8), 10)


def asked(number: int, *, fresh: bool = True) -> Asked:
    arch = SPACE.canonical(SPACE.sample(np.random.default_rng(number)))
    return Asked(Proposal(number, arch, 8, parent=f"p{number}"), fresh)


def outcome(number: int) -> Outcome:
    proposal = asked(number).proposal
    return Outcome(proposal, (Score("k", proposal.arch.digest, 8, 0, 0.5, 1.0, "ok", 0.0, 0, 1, 1),))


def test_events_come_back_interleaved_over_restarts(tmp_path: Path) -> None:
    written: list[Asked | Told] = []
    plan = [("ask", 0), ("ask", 1), ("tell", 1), ("ask", 2), ("tell", 0), ("tell", 2), ("ask", 3)]
    for part in (plan[:3], plan[3:]):
        with Journal(tmp_path) as journal:
            ledger = JournalLedger(journal, SPACE, read_journals(tmp_path))
            for kind, number in part:
                event = asked(number, fresh=number != 2)
                ledger.asked(event) if kind == "ask" else ledger.told(outcome(number))
                written.append(event if kind == "ask" else Told(number))
    assert events(read_journals(tmp_path)) == written


def test_what_is_told_together_waits_for_the_disk_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[int] = []
    with Journal(tmp_path) as journal:
        ledger = JournalLedger(journal, SPACE, Journals())
        for number in range(3):
            ledger.asked(asked(number))
        monkeypatch.setattr(os, "fsync", waits.append)
        ledger.told(outcome(2), outcome(0))
        ledger.told(outcome(1))
    assert len(waits) == 2
    assert events(read_journals(tmp_path)) == [*map(asked, range(3)), Told(2), Told(0), Told(1)]


def test_rows_that_are_there_twice_count_once(tmp_path: Path) -> None:
    with Journal(tmp_path / "a") as journal:
        ledger = JournalLedger(journal, SPACE, Journals())
        ledger.asked(asked(0))
        ledger.told(outcome(0))
    (path,) = (tmp_path / "a").glob("*.jsonl")
    (tmp_path / "a" / "again.r0.jsonl").write_bytes(path.read_bytes())
    assert events(read_journals(tmp_path / "a")) == [asked(0), Told(0)]


def test_a_lost_proposal_is_named(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        ledger = JournalLedger(journal, SPACE, Journals())
        for number in (0, 2):
            ledger.asked(asked(number))
    with pytest.raises(RunError, match="lost proposal 1"):
        events(read_journals(tmp_path))


def _try_to_manage(run: RunDirectory) -> None:
    with pytest.raises(RunError, match="Another process is searching"), sole_manager(run):
        pass


def test_one_process_manages_a_run_and_its_end_lets_the_next_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.0)
    run = RunDirectory(tmp_path)
    with sole_manager(run):
        other = multiprocessing.get_context("fork").Process(target=_try_to_manage, args=(run,))
        other.start()
        other.join()
        assert other.exitcode == 0
    with sole_manager(run):
        pass
