"""What `gtn search` says while it goes on: trainings on real data are counted from the beginning.

The real search stage over a table of made-up accuracies; only the training of networks is replaced.
"""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from search_campaign import begin, curriculum
from test_certificate_policies import made_up

from gtn_hpc.cli.meter import Meter
from gtn_hpc.cli.search import Scoring
from gtn_hpc.core.records import Score
from gtn_hpc.scores.folding import FoldReport, Throttle
from gtn_hpc.search import stage, work
from gtn_hpc.search.stage import run_search
from gtn_hpc.search.watch import Watch
from gtn_hpc.training.request import Request
from gtn_hpc.training.setting import Setting

SIZES = ("search.replicas=1", "search.space.widths=[[4,30],[4,30],[4,30]]")
HALF = "search.certificate={fraction: 0.5, minimum: 4, steps: 80, every: 10, controls: [untrained]}"


ACCURACY: dict[str, float] = {}
"""Of sources whose every evaluation gives the same; NaN is a failure."""


def scored(setting: Setting, request: Request) -> Score:
    found = made_up(setting, request, 0.9)
    accuracy = ACCURACY.get(request.source, found.val_accuracy)
    return replace(found, val_accuracy=accuracy, status="nan" if math.isnan(accuracy) else "ok")


class Said(NamedTuple):
    """At one moment."""

    done: int
    total: int
    text: str
    left: str | None


class Listening(Meter):
    """Remembers what it is told."""

    def __init__(self, total: int) -> None:
        super().__init__("scoring", total, shown=False)
        self.said: list[Said] = []

    def reach(self, done: int, text: str = "", *, total: int | None = None, left: str | None = None) -> None:
        super().reach(done, text, total=total, left=left)
        self.said.append(Said(done, self._total, text, left))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("progress")
    curriculum(path / "curriculum.h5", steps=8)
    return path


@pytest.fixture
def said(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Said]]:
    """A search's meter from its beginning to its end."""

    @contextmanager
    def open_table(self: work.Scoring) -> Iterator[Callable[[Request], object]]:
        yield lambda request: scored(self.setting, request)

    monkeypatch.setattr(work.Scoring, "_evaluation", lambda self, rank, opened: open_table(self))
    monkeypatch.setattr(stage, "fold_and_tell", lambda run, tell, wait=True: FoldReport())
    monkeypatch.setattr(Throttle, "due", lambda self: True)

    def search(*more: str) -> list[Said]:
        config, run = begin(tmp_path, *SIZES, *more)
        told = Scoring(meter := Listening(config.search.budget), config)
        run_search(
            config, run, place / "curriculum.h5", Watch(told.begun, told.outcome, told.certificate, row=told.row)
        )
        told.show()
        return meter.said

    return search


def test_trainings_of_the_certificate_are_counted_before_they_begin(said) -> None:
    first = said(HALF, "search.budget=25")
    assert {one.total for one in first} == {25 + 13 + 13}
    assert (first[0].done, first[0].left) == (0, "time left unknown")
    assert [one.done for one in first] == sorted(one.done for one in first)
    assert any("at least" in (one.left or "") for one in first)
    assert (first[-1].done, first[-1].left) == (51, "")
    assert all(one.left.endswith(" left") for one in first if 45 < one.done < 51)


def test_a_larger_budget_draws_another_sample_and_what_it_lacks_is_counted(said) -> None:
    """Of 25 there were 5, 5 and 3; of 30 there are 15, not all of the last 5 of them among those 3."""
    said(HALF, "search.budget=25")
    grown = said(HALF, "search.budget=30")
    assert (grown[0].done, grown[-1].done) == (51, grown[-1].total)
    assert grown[-1].total >= 30 + 15 + 15


def test_what_an_earlier_start_knew_is_not_told_as_news(said) -> None:
    """A larger budget makes its decisions anew, on the parts of a sample one after another."""
    first = spearmans(said(HALF, "search.budget=35"))
    assert first[-1] == 18 and first == sorted(first)
    again = spearmans(said(HALF, "search.budget=50"))
    assert again[0] > 18 and again[-1] >= 25 and again == sorted(again)


def spearmans(said: list[Said]) -> list[int]:
    """Of how many architectures the certificates were that were told."""
    return [int(found[1]) for one in said if (found := re.search(r"Spearman .* of (\d+) on real data", one.text))]


def test_there_is_no_best_where_every_architecture_failed(said, monkeypatch) -> None:
    monkeypatch.setitem(ACCURACY, "curriculum", math.nan)
    assert {one.text for one in said(HALF, "search.budget=6")} == {""}
    monkeypatch.setitem(ACCURACY, "curriculum", 0.0)
    assert "best 0.0 %" in {one.text for one in said(HALF, "search.budget=12")}


def test_a_search_without_a_certificate_counts_architectures(said) -> None:
    found = said("search.certificate.fraction=0", "search.budget=6")
    assert found[-1][:2] == (6, 6)
    assert {one.left for one in found} == {None}
