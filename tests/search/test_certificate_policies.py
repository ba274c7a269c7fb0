"""The certificate while a search goes on: it stops a teacher that guesses, lets a good one pass, and tells why.

The real search stage over a table of made-up accuracies; only the training of networks is replaced.
"""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from search_campaign import Followed, begin, curriculum

from gtn_hpc.core.errors import ConfigError, Requeue, RunError
from gtn_hpc.core.events import EventLog
from gtn_hpc.core.records import Score
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.core.streams import numpy_rng
from gtn_hpc.scores.folding import FoldReport
from gtn_hpc.scores.opened import open as open_scores
from gtn_hpc.scores.replay import read_journals
from gtn_hpc.search import stage
from gtn_hpc.search.stage import SearchReport, run_search
from gtn_hpc.search.trust import equal_steps
from gtn_hpc.search.watch import SILENT, Watch
from gtn_hpc.search.work import Scoring
from gtn_hpc.training.request import Request
from gtn_hpc.training.setting import Setting

SKILL = {"curriculum": 0.0, "real": 1.0, "real_steps": 0.5, "real_seconds": 0.7, "real_subset": 0.3, "untrained": 0.0}


def drawn(*names: object) -> float:
    return float(numpy_rng(0, "table", *map(str, names)).normal())


def made_up(setting: Setting, request: Request, skill: float) -> Score:
    """A truth of its own for each architecture; each source sees it through noise."""
    share = skill if request.source == "curriculum" else SKILL[request.source]
    truth, noise = drawn(request.arch.digest), drawn(request.arch.digest, request.source, setting.config.run.seed)
    value = 0.5 + 0.1 * (share * truth + math.sqrt(1 - share**2) * noise)
    return replace(setting.blank(request), val_accuracy=value, val_loss=1.0, status="ok", seconds=request.fidelity / 10)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Request], float]], None]:
    """Lets evaluations be looked up: how skilled the teacher is, by request."""

    def install(skill: Callable[[Request], float]) -> None:
        @contextmanager
        def open_table(self: Scoring, rank: int, opened: object) -> Iterator[Callable[[Request], Score]]:
            yield lambda request: made_up(self.setting, request, skill(request))

        monkeypatch.setattr(Scoring, "_evaluation", lambda self, rank, opened: open_table(self, rank, opened))

    return install


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policies")
    curriculum(path / "curriculum.h5", steps=8)
    return path


SIZES = ("search.replicas=1", "search.budget=60", "search.space.widths=[[4,30],[4,30],[4,30]]")
PARTS = "search.certificate={fraction: 0.5, minimum: 12, steps: 80, every: 30, policy: %s, floor: %s, controls: [%s]}"
ENOUGH = ("search.steps=2", "search.budget=120")
GENERATIONS = "search.algorithm={name: evolution, population: 20, sample: 5, synchronous: true}"


def searched(
    place: Path, root: Path, seed: int, policy: str, *, floor: float = 0.1, controls: str = "", watch: Watch = SILENT,
    more: tuple[str, ...] = (),
) -> tuple[RunDirectory, SearchReport]:  # fmt: skip
    config, run = begin(root, *SIZES, PARTS % (policy, floor, controls), f"run.seed={seed}", *more)
    return run, run_search(config, run, place / "curriculum.h5", watch)


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_stopped_and_a_good_teacher_passes(seed, place, tmp_path, table, monkeypatch) -> None:
    monkeypatch.setattr(stage, "fold_and_tell", lambda run, tell, wait=True: FoldReport())
    table(lambda request: 0.0)
    with pytest.raises(RunError, match="not to be trusted: over 15 architectures of the sample"):
        searched(place, tmp_path / "noise", seed, "stop", floor=0.2)
    assert 30 <= len(read_journals(tmp_path / "noise" / "campaign" / "journal").scores) < 60
    table(lambda request: 0.95)
    _, report = searched(place, tmp_path / "good", seed, "stop", floor=0.2)
    assert (report.architectures, report.certified) == (60, 30)


def test_a_stopped_search_stays_stopped_until_the_policy_says_otherwise(place, tmp_path, table) -> None:
    table(lambda request: 0.0)
    for more in ((), ("run.deadline=6000",)):
        with pytest.raises(RunError, match=r"lower bound has to be 0\.2"):
            searched(place, tmp_path / "a", 0, "stop", floor=0.2, more=more)
        failed = RunDirectory(tmp_path / "a" / "campaign").read_state()["stages"]["search"]
        assert failed["status"] == "failed" and "lower bound has to be 0.2" in failed["reason"]
    warnings: list[str] = []
    run, report = searched(place, tmp_path / "a", 0, "warn", floor=0.2, watch=Watch(warning=warnings.append))
    assert (report.architectures, len(warnings)) == (60, 2)
    assert run.read_state()["stages"]["search"]["doubt"] == warnings[-1]
    assert run.read_state()["stages"]["search"]["status"] == "done"


def test_the_inner_run_is_lengthened_until_the_ranking_is_good(place, tmp_path, table) -> None:
    table(lambda request: 0.0 if request.fidelity < 8 else 0.95)
    warnings: list[str] = []
    more = ("search.steps=2",)
    run, report = searched(
        place, tmp_path / "a", 0, "lengthen", floor=0.2, watch=Watch(warning=warnings.append), more=more
    )
    rows = read_journals(run.journal).scores
    levels = {fidelity: len({row.arch for row in rows if row.fidelity == fidelity}) for fidelity in (2, 4, 8)}
    assert len(warnings) == 2
    assert "8 steps instead of 4" in warnings[1]
    assert levels[8] == 60 >= levels[4] >= levels[2] >= 30
    assert report.certificate.trusted(0.2)
    assert run.read_state()["stages"]["search"]["doubt"] is None
    assert len(read_journals(run.journal).certificates) == report.certified
    again = searched(place, tmp_path / "a", 0, "lengthen", floor=0.2, more=more)[1]
    assert len(read_journals(run.journal).scores) == len(rows)
    assert again.best == report.best


def test_a_lengthened_search_that_was_stopped_makes_no_decision_anew(place, tmp_path, table) -> None:
    """Stopped when 40 were scored after so many steps; the guess of a teacher is a little better after 4."""
    table(lambda request: 0.0 if request.fidelity < 4 else 0.6)
    straight, stopped, late = (lengthened_twice(place, tmp_path / str(steps), steps) for steps in (0, 4, 8))
    assert straight == stopped == late


def lengthened_twice(place: Path, root: Path, stopped: int) -> list[object]:
    """Warnings, rows of each length, trainings on real data and the ranking, of a search stopped after some."""
    warnings, seen = list[str](), list[int]()
    watch = Watch(warning=warnings.append, outcome=lambda outcome: seen.append(outcome.proposal.fidelity))
    again = partial(searched, place, root, 1, "lengthen", floor=0.2, controls="real_steps", more=ENOUGH)
    if stopped:
        with pytest.raises(Requeue, match="was stopped"):
            again(watch=replace(watch, stop=lambda: seen.count(stopped) >= 40))
    run, report = again(watch=watch)
    rows = read_journals(run.journal)
    levels = {steps: len({row.arch for row in rows.scores if row.fidelity == steps}) for steps in (2, 4, 8)}
    assert (levels[8], len(warnings)) == (120, 2)
    return [warnings, levels, sorted((row.arch, row.source, row.steps) for row in rows.certificates), report.best]


def test_a_search_stopped_between_the_last_truth_and_its_decision_is_lengthened(place, tmp_path, table) -> None:
    table(lambda request: 0.0 if request.fidelity < 8 else 0.95)
    journal = tmp_path / "a" / "campaign" / "journal"
    seen = Followed(journal)
    stopped = Watch(stop=lambda: seen.look().certificates == 12)
    more = ("search.steps=4", "search.budget=20")
    with pytest.raises(Requeue, match="was stopped"):
        searched(place, tmp_path / "a", 0, "lengthen", floor=0.2, watch=stopped, more=more)
    searched(place, tmp_path / "a", 0, "lengthen", floor=0.2, more=more)
    assert sorted(row.fidelity for row in read_journals(journal).scores) == 20 * [4] + 20 * [8]


@pytest.mark.parametrize("which", ["list", "generations"])
def test_proposals_made_again_take_no_numbers_of_the_algorithm(which, place, tmp_path, table) -> None:
    table(lambda request: 0.0 if request.fidelity < 8 else 0.95)
    path = tmp_path / "list.jsonl"
    path.write_text("\n".join(json.dumps({"widths": [a, b, 8]}) for a in range(4, 19) for b in range(4, 12)))
    algorithm = GENERATIONS if which == "generations" else f"search.algorithm={{name: list, path: {path}}}"
    run, report = searched(
        place, tmp_path / "a", 0, "lengthen", floor=0.2, more=("search.steps=2", "search.budget=100", algorithm)
    )
    rows = read_journals(run.journal).scores
    assert len({row.arch for row in rows if row.fidelity == 8}) == report.architectures == 100
    again = searched(
        place, tmp_path / "a", 0, "lengthen", floor=0.2, more=("search.steps=2", "search.budget=100", algorithm)
    )[1]
    assert (len(read_journals(run.journal).scores), again.best) == (len(rows), report.best)


def test_halving_cannot_be_lengthened(place, tmp_path, table) -> None:
    table(lambda request: 0.0)
    with pytest.raises(ConfigError, match="halving chooses the inner steps itself"):
        searched(place, tmp_path / "a", 0, "lengthen", more=("search.algorithm={name: halving, first: 2}",))


def test_controls_are_rows_and_the_teacher_is_held_against_them(place, tmp_path, table) -> None:
    table(lambda request: 0.9)
    run, report = searched(
        place, tmp_path / "a", 0, "warn", controls="real_steps, real_seconds, real_subset, untrained"
    )
    with open_scores(run.scores) as tables:
        rows = tables.certificate
    assert rows.groupby("source")["arch"].nunique().to_dict() == dict.fromkeys(
        ("truth", "real_steps", "real_seconds", "real_subset", "untrained"), 30
    )
    steps = rows.groupby("source")["steps"].unique().map(list).to_dict()
    assert steps == {"truth": [80], "real_steps": [8], "real_seconds": [8], "real_subset": [8], "untrained": [8]}
    rivals = {rival.name: rival for rival in report.rivals}
    assert set(rivals) == {"parameters", "FLOPs", "real steps", "real seconds", "real subset", "untrained"}
    assert rivals["untrained"].ahead.low > 0
    assert rivals["real steps"].ahead.n == 30
    told = json.loads(run.state.read_text())["stages"]["search"]["certificate"]["beside"]
    assert [rival["name"] for rival in told] == [rival.name for rival in report.rivals]


def test_the_sample_comes_while_the_search_goes_on(place, tmp_path, table) -> None:
    table(lambda request: 0.9)
    seen: list[tuple[int, int]] = []
    outcomes: list[object] = []
    watch = Watch(outcome=outcomes.append, certificate=lambda c: seen.append((len(outcomes), c.spearman.n)))
    searched(place, tmp_path / "a", 0, "warn", watch=watch)
    assert 30 <= seen[0][0] < 60
    assert seen[-1] == (60, 30)
    assert np.all(np.diff([known for _, known in seen]) >= 0)


def test_truths_that_do_not_fit_into_the_time_left_keep_no_score_waiting(place, tmp_path, table) -> None:
    """Scores are said to take 0.8 s, truths 8000 s."""
    table(lambda request: 0.9)
    long = ("search.certificate.steps=80000",)
    searched(place, tmp_path / "a", 0, "warn", more=(*long, "search.budget=30"))
    journal = tmp_path / "a" / "campaign" / "journal"
    with pytest.raises(Requeue, match="any of the 15 evaluations that wait"):
        searched(place, tmp_path / "a", 0, "warn", more=(*long, "run.deadline=5000"))
    assert (len(read_journals(journal).scores), len(read_journals(journal).certificates)) == (60, 15)
    with pytest.raises(RunError, match=r"is expected to take up to 10000 s, and a start has (5000|49..) s"):
        searched(place, tmp_path / "a", 0, "warn", more=(*long, "run.deadline=5000"))
    _, report = searched(place, tmp_path / "a", 0, "warn", more=(*long, "run.deadline=50000"))
    assert (report.architectures, report.certified) == (60, 30)


def test_equal_seconds_count_the_share_of_meta_training() -> None:
    assert equal_steps([2.0, 4.0], [10.0, 10.0], steps=100, share=0.0) == 30
    assert equal_steps([2.0, 4.0], [10.0, 10.0], steps=100, share=5.0) == 80


@pytest.mark.parametrize(("replicas", "steps"), [(1, 68), (2, 38)])
def test_all_replicas_of_an_architecture_share_its_part_of_the_meta_training(
    place, tmp_path, table, replicas, steps
) -> None:
    """A score takes 0.8 s, a real step 0.1 s, and each of 60 architectures has 6 s of the 360 s of meta-training."""
    table(lambda request: 0.9)
    with EventLog(tmp_path / "a" / "campaign" / "events" / "train.jsonl") as log:
        log.write("iterated", iteration=0, seconds=360.0, ranks=1)
    run, _ = searched(place, tmp_path / "a", 0, "warn", controls="real_seconds", more=(f"search.replicas={replicas}",))
    with open_scores(run.scores) as tables:
        rows = tables.certificate[tables.certificate["source"] == "real_seconds"]
    assert rows["steps"].unique().tolist() == [steps]
    assert len(rows) == 30 * replicas
