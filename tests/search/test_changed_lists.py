"""Jobs that share a run of another list, or of a length that it no longer has: they score nothing."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from search_campaign import begin, campaign, curriculum, shard, share

from gtn_hpc.core.errors import RunError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores.journal import Journal
from gtn_hpc.scores.replay import JournalReader, read_journals, read_more
from gtn_hpc.search.algorithm import Proposal
from gtn_hpc.search.ledger import rows_of
from gtn_hpc.search.pools import setting_of
from gtn_hpc.search.shards import propose, write_down
from gtn_hpc.search.study import Asked
from gtn_hpc.training.setting import Setting

both_ways = pytest.mark.parametrize("search", [shard, share])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    torch.set_num_threads(1)
    curriculum(tmp_path / "curriculum.h5")
    return tmp_path


def listed(place: Path, *widths: int) -> str:
    """The setting of a list of architectures with these first widths."""
    path = place / "list.jsonl"
    path.write_text("".join(json.dumps({"widths": [width, 8, 8]}) + "\n" for width in widths))
    return f"search.algorithm={{name: list, path: {path}}}"


def proposals_of(place: Path, *overrides: str) -> tuple[list[Proposal], Setting, RunDirectory]:
    config, run = begin(place, *overrides)
    setting = setting_of(config, run, place / "curriculum.h5")
    return propose(config, setting), setting, run


def record(run: RunDirectory, setting: Setting, *proposals: Proposal) -> None:
    with Journal(run.journal, "other") as journal:
        for proposal in proposals:
            journal.append(rows_of(Asked(proposal, fresh=True), setting.space))


@both_ways
def test_a_list_that_was_edited_is_refused_before_anything_is_scored(place: Path, search: Callable[..., int]) -> None:
    journal = place / "campaign" / "journal"
    assert search(place, listed(place, 4, 5)) == 4
    for job in (search, campaign):
        with pytest.raises(RunError, match=r"roposal 1 .*\n.*the file search\.algorithm\.path (back )?as it was"):
            job(place, listed(place, 4, 6, 5))
    assert len(read_journals(journal).scores) == 4
    assert search(place, listed(place, 4, 5, 6)) == 2
    rows = read_journals(journal)
    assert {score.arch for score in rows.scores} == {row.arch for row in rows.architectures}


@both_ways
def test_a_search_that_was_lengthened_does_not_go_on_in_parts(place: Path, search: Callable[..., int]) -> None:
    (first, second, *_), setting, run = proposals_of(place)
    record(run, setting, first, replace(first, ask=1, fidelity=6), replace(second, ask=2, fidelity=6))
    with pytest.raises(RunError, match=r"after 6 inner steps, and is .* after 3 now\.\n.*search\.pool=auto"):
        search(place)
    assert not read_journals(run.journal).scores


def test_a_job_that_began_beside_another_with_its_own_list_writes_nothing_down(place: Path) -> None:
    theirs, setting, run = proposals_of(place, listed(place, 4, 5))
    before = read_more(reader := JournalReader(run.journal))
    mine, *_ = proposals_of(place, listed(place, 6, 7, 8))
    record(run, setting, *theirs)
    with pytest.raises(RunError, match="is not what this run began with: its proposal 0"):
        write_down(mine, before, reader, setting, run)
    assert len(read_journals(run.journal).asks) == 2
