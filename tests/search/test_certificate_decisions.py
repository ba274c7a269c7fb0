"""When a search decides on its ranking: after parts that their sizes alone choose, once each, whenever it was cut."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby, pairwise
from pathlib import Path

import pytest
from search_campaign import Followed, begin, curriculum
from test_certificate_policies import made_up

from gtn_hpc.core.errors import Requeue, RunError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores.folding import FoldReport
from gtn_hpc.scores.replay import read_journals
from gtn_hpc.search import certifying, stage
from gtn_hpc.search.certificate import Certificate
from gtn_hpc.search.stage import SearchReport, run_search
from gtn_hpc.search.watch import SILENT, Watch
from gtn_hpc.search.work import Scoring
from gtn_hpc.training.request import Request

CERTIFICATE = "search.certificate={fraction: 0.5, minimum: 4, steps: 80, every: 4, policy: %s, floor: %s, controls: %s}"
SIZES = ("search.replicas=1", "search.budget=70", "search.space.widths=[[4,30],[4,30],[4,30]]")
DECISIVE = [4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 26, 30, 34, 35]
"""Architectures of the sample at each decision: two a part, one in the last; in steps of a tenth after 8."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("decisions")
    curriculum(path / "curriculum.h5", steps=8)
    return path


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of a table of accuracies with a poor teacher: how many architectures each decision was made on."""
    found: list[int] = []
    decide = certifying.certify

    @contextmanager
    def open_table(self: Scoring) -> Iterator[Callable[[Request], object]]:
        yield lambda request: made_up(self.setting, request, 0.0 if request.fidelity < 8 else 0.3)

    def certify(estimates, truths, steps, seed, resamples):
        if resamples > certifying.INTERIM:
            found.append(len(estimates.keys() & truths))
        return decide(estimates, truths, steps, seed, 200)

    monkeypatch.setattr(Scoring, "_evaluation", lambda self, rank, opened: open_table(self))
    monkeypatch.setattr(certifying, "certify", certify)
    monkeypatch.setattr(certifying, "FEW", 8)
    monkeypatch.setattr(stage, "fold_and_tell", lambda run, tell, wait=True: FoldReport())
    return found


def searched(
    place: Path, root: Path, policy: str = "warn", *, floor: float = 0.9, controls: str = "[]", watch: Watch = SILENT,
    more: tuple[str, ...] = (),
) -> tuple[RunDirectory, SearchReport]:  # fmt: skip
    config, run = begin(root, *SIZES, CERTIFICATE % (policy, floor, controls), *more)
    return run, run_search(config, run, place / "curriculum.h5", watch)


def test_there_is_a_decision_after_each_part_while_few_and_then_for_a_tenth_more() -> None:
    assert certifying.decided_after([20] * 10) == set(range(1, 11))
    sizes = [7] * 4000
    found = sorted(certifying.decided_after(sizes))
    assert found[:28] == list(range(1, 29))
    assert all(10 * later >= 11 * sooner for sooner, later in pairwise(found[27:]))
    assert len(found) < 28 + 60
    for parts in (1, 30, 500):
        assert certifying.decided_after(sizes[:parts]) == {part for part in found if part <= parts}


def test_few_decisions_are_made_and_one_on_all_and_none_again(place, tmp_path, decisions) -> None:
    warnings: list[str] = []
    run, report = searched(place, tmp_path, watch=Watch(warning=warnings.append))
    assert decisions == DECISIVE
    assert (len(warnings), report.certified) == (len(DECISIVE), 35)
    again = searched(place, tmp_path, watch=Watch(warning=warnings.append))[1]
    assert (decisions, len(warnings)) == (DECISIVE, len(DECISIVE))
    assert again.certificate == report.certificate
    state = json.loads(run.state.read_text())
    assert state["stages"]["search"]["decided"]["parts"] == 18
    run.state.unlink()
    searched(place, tmp_path)
    assert decisions == 2 * DECISIVE
    searched(place, tmp_path, floor=-1.0)
    assert decisions == 3 * DECISIVE


def test_a_larger_fraction_is_decided_on(place, tmp_path, decisions) -> None:
    searched(place, tmp_path, "stop", floor=-1.0)
    assert decisions == DECISIVE
    searched(place, tmp_path, "stop", floor=-1.0, more=("search.certificate.fraction=1",))
    assert (decisions[len(DECISIVE)], decisions[-1]) == (4, 70)


@pytest.mark.parametrize(("policy", "late"), [("warn", False), ("lengthen", False), ("lengthen", True)])
def test_a_search_that_is_cut_anywhere_decides_as_one_that_is_not(
    policy, late, place, tmp_path, decisions, monkeypatch
) -> None:
    """Stopped again and again after a few rows each; a lengthening that had no effect yet is decided on again.

    `late`: the ranking is bad at the end alone, after a part with which the sample is not a tenth larger.
    """
    if late:
        monkeypatch.setattr(Certificate, "trusted", lambda self, floor: self.spearman.n < 36)
    options = ("search.steps=4", f"search.budget={72 if late else 70}")
    uncut = outcome(*searched(place, tmp_path / "uncut", policy, controls="[real_steps]", more=options))
    whole, warnings, starts = list(decisions), list[str](), 0
    decisions.clear()
    journal = tmp_path / "cut" / "campaign" / "journal"
    while True:
        starts += 1
        seen = Followed(journal)
        enough = seen.look().rows + 31
        watch = Watch(warning=warnings.append, stop=lambda seen=seen, enough=enough: seen.look().rows >= enough)
        try:
            cut = searched(place, tmp_path / "cut", policy, controls="[real_steps]", watch=watch, more=options)
        except Requeue:
            continue
        break
    assert starts > 4
    assert outcome(*cut) == uncut
    assert [size for size, _ in groupby(decisions)] == whole
    assert not late or whole[-2:] == [34, 36]
    assert len(decisions) <= len(whole) + (policy == "lengthen")
    assert len(warnings) == (len(decisions) if not late else len(decisions) - len(whole) + 1)
    again = outcome(*searched(place, tmp_path / "cut", policy, controls="[real_steps]", watch=watch, more=options))
    assert again == uncut


def outcome(run: RunDirectory, report: SearchReport) -> list[object]:
    rows = read_journals(run.journal)
    trained = sorted((row.arch, row.source, row.steps) for row in rows.certificates)
    lengthened = run.read_state()["stages"]["search"].get("lengthened")
    return [report.certificate, report.best, trained, lengthened]


def test_a_search_ends_at_such_a_decision_and_a_new_start_ends_there_too(place, tmp_path, decisions) -> None:
    for start in (1, 2):
        with pytest.raises(RunError, match="over 4 architectures of the sample"):
            searched(place, tmp_path, "stop")
        assert decisions == start * [4]
    searched(place, tmp_path, "stop", floor=-1.0)
    assert decisions == [4, 4, *DECISIVE]
