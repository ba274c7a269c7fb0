"""The search on digits: equal digests however it is cut, one row an evaluation, failures as rows, errors in words."""

import multiprocessing
import random
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from search_campaign import Followed, begin, campaign, configured, curriculum

from gtn_hpc.core.errors import ConfigError, DataError, Requeue, RunError, StorageError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import comparing
from gtn_hpc.scores.opened import open as open_scores
from gtn_hpc.scores.replay import Journals, read_journals
from gtn_hpc.search import lock, stage
from gtn_hpc.search.algorithm import Outcome
from gtn_hpc.search.lock import sole_manager
from gtn_hpc.search.novelty import SpaceExhausted
from gtn_hpc.search.stage import run_search
from gtn_hpc.search.watch import Watch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def directory(path: Path, **options: object) -> Path:
    path.mkdir(parents=True)
    curriculum(path / "curriculum.h5", **options)  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    place = directory(tmp_path_factory.mktemp("undisturbed") / "a")
    campaign(place)
    return RunDirectory(place / "campaign")


def test_the_tables_hold_every_replica_with_its_history(undisturbed: RunDirectory) -> None:
    with open_scores(undisturbed.scores) as tables:
        assert len(tables.scores) == 10
        assert tables.scores.arch.nunique() == len(tables.architectures) == 5
        assert set(tables.scores.status) == {"ok"}
        assert set(tables.scores.fidelity) == {3}
        assert sorted(tables.asks.order) == list(range(5))
        assert len(tables.certificate) == 4
        assert set(tables.certificate.steps) == {6}
        curve = tables.curves[(tables.curves.table == "scores") & (tables.curves.key == tables.scores.key[0])]
        assert sorted(curve.step) == [1, 2, 3]
        assert set(tables.curves[tables.curves.table == "certificate"].step) == {1, 2, 6}
        assert (tables.certificate.curve_seconds < tables.certificate.seconds).all()


def test_the_same_search_again_has_the_same_digest(undisturbed: RunDirectory, tmp_path: Path) -> None:
    campaign(directory(tmp_path / "b"))
    assert comparing.digest(tmp_path / "b" / "campaign") == comparing.digest(undisturbed)


def test_a_second_search_of_a_run_is_refused_before_it_changes_anything(
    undisturbed: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.0)
    place, before = undisturbed.path.parent, [file.read_bytes() for file in (undisturbed.config, undisturbed.state)]
    with sole_manager(undisturbed), pytest.raises(RunError, match="Another process is searching in"):
        run_search(configured(place, "search.budget=9"), undisturbed, place / "curriculum.h5")
    assert [file.read_bytes() for file in (undisturbed.config, undisturbed.state)] == before


def test_a_finished_search_scores_nothing_again(undisturbed: RunDirectory) -> None:
    rows = len(read_journals(undisturbed.journal).scores)
    report = campaign(undisturbed.path.parent)
    assert len(read_journals(undisturbed.journal).scores) == rows
    assert report.architectures == 5
    assert report.best == tuple(sorted(report.best, key=lambda pair: -pair[1]))


def never_done(place: Path, rows: int) -> None:
    """A search that waits for its end before it makes a row after so many, or the last but one of 10 and 4 truths."""
    config, run = begin(place)
    seen = Followed(run.journal)
    stop = Watch(stop=lambda: signal.pause() if seen.look().rows > min(rows, 12) else None)
    run_search(config, run, place / "curriculum.h5", stop)


def test_killed_at_random_moments_and_started_again_it_is_the_same(undisturbed: RunDirectory, tmp_path: Path) -> None:
    place, generator = directory(tmp_path / "killed"), random.Random(0)
    journal = place / "campaign" / "journal"
    acknowledged, seen = set[str](), Followed(journal)
    for kill in (0, 1, 3, 5, 6, 8, 9, 11):
        process = multiprocessing.get_context("fork").Process(target=never_done, args=(place, kill + 2))
        process.start()
        while seen.look().rows < kill and process.is_alive():
            time.sleep(0.002)
        time.sleep(generator.random() * 0.1)
        acknowledged |= {score.key for score in read_journals(journal).scores}
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    campaign(place)
    assert acknowledged <= {score.key for score in read_journals(journal).scores}
    assert comparing.digest(place / "campaign") == comparing.digest(undisturbed)
    with open_scores(place / "campaign" / "scores.h5") as tables:
        assert tables.scores.key.is_unique
        assert tables.conflicts.empty


def test_children_at_the_same_time_find_the_same(undisturbed: RunDirectory, tmp_path: Path) -> None:
    place = directory(tmp_path / "isolated")
    campaign(place, "search.workers=2")
    assert comparing.digest(place / "campaign") == comparing.digest(undisturbed)
    with open_scores(place / "campaign" / "scores.h5") as tables:
        assert set(tables.scores["rank"]) == {0, 1}


def test_a_disk_that_takes_no_learners_is_no_fault_of_the_architectures(tmp_path: Path) -> None:
    halving = ("search.algorithm={name: halving, first: 1, eta: 2}", "search.replicas=1", "search.budget=3")
    for name in ("full", "roomy"):
        place = directory(tmp_path / name)
        if name == "full":
            (place / "campaign").mkdir()
            (place / "campaign" / "states").write_text("not a directory")
            with pytest.raises(StorageError, match="could not be written"):
                campaign(place, *halving)
            assert read_journals(place / "campaign" / "journal").scores == []
            (place / "campaign" / "states").unlink()
        assert set(campaign(place, *halving).statuses) == {"ok"}
    assert comparing.digest(tmp_path / "full" / "campaign") == comparing.digest(tmp_path / "roomy" / "campaign")


def test_halving_promotes_learners_that_another_process_saved(undisturbed: RunDirectory, tmp_path: Path) -> None:
    """The first process is killed in its fifth evaluation, the first of a promoted learner."""
    place = directory(tmp_path / "halving")
    halving = "search.algorithm={name: halving, first: 1, eta: 2, asynchronous: false}"
    options = (halving, "search.replicas=1", "search.budget=4", "search.certificate.fraction=0")
    other = multiprocessing.get_context("fork").Process(
        target=campaign, args=(place, *options, "search.chaos=kill:rank=0@eval=5")
    )
    other.start()
    other.join()
    assert len(read_journals(place / "campaign" / "journal").scores) == 4
    report = campaign(place, *options)
    rows = {(score.arch, score.fidelity): score for score in read_journals(place / "campaign" / "journal").scores}
    assert sorted(fidelity for _, fidelity in rows) == [1, 1, 1, 1, 2, 2, 3]
    (winner,) = (arch for arch, fidelity in rows if fidelity == 3)
    straight = directory(tmp_path / "straight")
    specs = {row.arch: row.spec for row in read_journals(place / "campaign" / "journal").architectures}
    (straight / "list").write_text(specs[winner])
    one = f"search.algorithm={{name: list, path: {straight / 'list'}}}"
    campaign(straight, one, "search.replicas=1", "search.certificate.fraction=0")
    (expected,) = read_journals(straight / "campaign" / "journal").scores
    assert rows[winner, 3].key == expected.key
    assert rows[winner, 3].val_loss == expected.val_loss
    assert report.best == ((winner, expected.val_accuracy),)


def test_halving_leaves_no_learners_and_a_larger_budget_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    algorithm = "search.algorithm={name: halving, first: 1, eta: 2}"
    halving = (algorithm, "search.replicas=1", "search.certificate.fraction=0")
    for name in ("kept", "removed"):
        place = directory(tmp_path / name)
        with monkeypatch.context() as patched:
            if name == "kept":
                patched.setattr(stage, "shutil", SimpleNamespace(rmtree=lambda path, ignore_errors: None))
            campaign(place, *halving, "search.budget=3")
        assert (place / "campaign" / "states").exists() == (name == "kept")
        campaign(place, *halving, "search.budget=9")
    assert comparing.digest(tmp_path / "kept" / "campaign") == comparing.digest(tmp_path / "removed" / "campaign")
    assert len(read_journals(tmp_path / "removed" / "campaign" / "journal").scores) > 9
    assert not (tmp_path / "removed" / "campaign" / "states").exists()


def test_a_stopped_search_asks_for_a_requeue_and_goes_on(undisturbed: RunDirectory, tmp_path: Path) -> None:
    place = directory(tmp_path / "stopped")
    config, run = begin(place)
    seen: list[Outcome] = []
    with pytest.raises(Requeue):
        run_search(config, run, place / "curriculum.h5", Watch(outcome=seen.append, stop=lambda: len(seen) == 2))
    assert len(read_journals(run.journal).scores) == 4
    begun: list[Journals] = []
    again: list[object] = []
    rows: list[object] = []
    run_search(config, run, place / "curriculum.h5", Watch(begun=begun.append, outcome=again.append, row=rows.append))
    (before,) = begun
    assert len(before.tells) == 2
    assert max(tell.value for tell in before.tells) == max(outcome.value for outcome in seen)
    assert len(before.tells) + len(again) == config.search.budget
    after = read_journals(run.journal)
    assert len(rows) == len(after.scores) + len(after.certificates) - len(before.scores)
    assert comparing.digest(run) == comparing.digest(undisturbed)


def test_a_search_without_the_journals_of_before_keeps_their_scores_and_warns(
    undisturbed: RunDirectory, tmp_path: Path
) -> None:
    place = directory(tmp_path / "copied")
    config, run = begin(place)
    run.path.mkdir(parents=True, exist_ok=True)
    shutil.copy(undisturbed.scores, run.scores)
    seen: list[object] = []
    warnings: list[str] = []
    watch = Watch(outcome=seen.append, stop=lambda: bool(seen), warning=warnings.append)
    with pytest.raises(Requeue):
        run_search(config, run, place / "curriculum.h5", watch)
    (kept,) = run.path.glob("scores-*.h5")
    assert kept.read_bytes() == undisturbed.scores.read_bytes()
    assert len(warnings) == 1 and str(kept) in warnings[0] and "rows that no journal has" in warnings[0]


def test_a_grown_budget_keeps_what_was_scored(undisturbed: RunDirectory, tmp_path: Path) -> None:
    place = directory(tmp_path / "grown")
    campaign(place, "search.budget=2")
    campaign(place, "search.budget=5")
    assert comparing.digest(place / "campaign") == comparing.digest(undisturbed)
    assert len(read_journals(place / "campaign" / "journal").scores) == 10


def test_learners_that_diverge_are_rows(tmp_path: Path) -> None:
    place = directory(tmp_path / "nan", lr=1e30)
    report = campaign(place, "search.budget=2")
    assert report.statuses == {"nan": 4}
    assert report.best == ()
    with open_scores(place / "campaign" / "scores.h5") as tables:
        assert tables.scores.val_accuracy.isna().all()
        assert len(tables.certificate) == 0


def test_the_curriculum_brings_its_optimiser(tmp_path: Path) -> None:
    first, second = directory(tmp_path / "sgd"), directory(tmp_path / "adam", optimiser="adam", lr=0.01)
    for place in (first, second):
        campaign(place, "search.budget=1", "search.certificate.fraction=0")
    keys = [read_journals(place / "campaign" / "journal").scores[0].key for place in (first, second)]
    assert keys[0] != keys[1]


def test_a_curriculum_of_other_images_is_refused(tmp_path: Path) -> None:
    place = directory(tmp_path / "other", side=12)
    with pytest.raises(DataError, match="1x12x12 in 10 classes; the image set digits has 1x8x8"):
        campaign(place)
    assert not read_journals(place / "campaign" / "journal").scores
    curriculum(place / "curriculum.h5")
    assert campaign(place, "search.budget=1", "search.certificate.fraction=0").architectures == 1


def test_steps_and_cuts_beyond_what_there_is_are_refused(tmp_path: Path) -> None:
    place = directory(tmp_path / "steps")
    with pytest.raises(ConfigError, match=r"search.steps is 9, but .* has 3 steps"):
        campaign(place, "search.steps=9")
    with pytest.raises(ConfigError, match=r"search.algorithm.first is 4, but a full training has 3 inner steps"):
        campaign(place, "search.algorithm={name: halving}")
    with pytest.raises(ConfigError, match=r"final.recipe.cutout is 8 pixels, but the images are 8x8"):
        campaign(place, "final.recipe.cutout=8")
    with pytest.raises(ConfigError, match=r"search.score_at names step 4, but .* has 3 steps\.\n.*up to 3"):
        campaign(place, "search.score_at=[1,4]")
    with pytest.raises(ConfigError, match=r"step 2, but .* has 3 steps and search.steps is 1\.\n.*up to 1"):
        campaign(place, "search.steps=1")
    assert not read_journals(place / "campaign" / "journal").scores


def test_another_curriculum_under_the_same_run_is_refused(tmp_path: Path) -> None:
    place = directory(tmp_path / "changed")
    campaign(place, "search.budget=1", "search.certificate.fraction=0")
    curriculum(place / "curriculum.h5", lr=0.2)
    with pytest.raises(RunError, match="were made with another curriculum"):
        campaign(place, "search.budget=2", "search.certificate.fraction=0")


def test_truths_of_two_recipes_are_not_mixed(tmp_path: Path) -> None:
    place = directory(tmp_path / "recipes")
    assert campaign(place).certified == 2
    with pytest.raises(RunError, match=r"made with another final\.recipe"):
        campaign(place, "final.recipe.lr=0.001", "search.budget=6")
    assert campaign(place, "final.recipe.weight_decay=0.1", "search.budget=6").certified == 3


def test_a_missing_curriculum_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"curriculum.h5"):
        campaign(tmp_path)


def test_a_space_smaller_than_the_budget_keeps_its_scores(tmp_path: Path) -> None:
    place = directory(tmp_path / "small")
    with pytest.raises(SpaceExhausted, match="2 architectures are known"):
        campaign(place, "search.space.widths=[[4,5],[4,6],[4,5]]", "search.replicas=1")
    with open_scores(place / "campaign" / "scores.h5") as tables:
        assert len(tables.scores) == 2
