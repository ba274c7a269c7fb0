"""Static shards: each rank its part, together the same digest as a managed search."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from search_campaign import begin, campaign, configured, curriculum, share
from search_campaign import shard as shard_of_one

from gtn_hpc.core.errors import DataError, Requeue, RunError, UsageError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import comparing
from gtn_hpc.scores.folding import locked
from gtn_hpc.scores.opened import open as open_scores
from gtn_hpc.scores.replay import read_journals
from gtn_hpc.search.shards import search_shard
from gtn_hpc.search.watch import Watch


def shard(place: Path, rank: int, world: int, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> int:
    """What rank `rank` of `world` does; torchrun's variables say which one this is."""
    for name, value in (("RANK", rank), ("WORLD_SIZE", world), ("LOCAL_RANK", rank), ("LOCAL_WORLD_SIZE", world)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", "1")
    config = configured(place, "search.pool=shards", *overrides)
    return search_shard(config, RunDirectory(place / "campaign"), place / "curriculum.h5")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    torch.set_num_threads(1)
    curriculum(tmp_path / "curriculum.h5")
    begin(tmp_path)
    return tmp_path


def test_shards_score_everything_once_and_a_managed_search_takes_it_over(
    place: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed = tmp_path_factory.mktemp("managed")
    curriculum(managed / "curriculum.h5")
    campaign(managed)
    with monkeypatch.context() as patched:
        assert [shard(place, rank, 3, patched) for rank in (2, 0, 1)] == [3, 4, 3]
        assert [shard(place, rank, 2, patched) for rank in (0, 1)] == [0, 0]
    run = RunDirectory(place / "campaign")
    assert comparing.digest(run) == comparing.digest(managed / "campaign")
    with open_scores(run.scores) as tables:
        assert len(tables.scores) == 10
        assert set(tables.scores["rank"]) == {0, 1, 2}
        assert len(tables.asks) == len(tables.architectures) == 5
    report = campaign(place)
    assert len(read_journals(run.journal).scores) == 10
    assert report.certified == 2


@pytest.mark.parametrize("pool", ["shards", "shared"])
def test_a_refused_curriculum_leaves_a_run_that_takes_its_split(pool: str, tmp_path: Path) -> None:
    """What the refusal advises is another configuration, which a run that has begun would not take."""
    torch.set_num_threads(1)
    curriculum(tmp_path / "curriculum.h5")
    job = {"shards": shard_of_one, "shared": share}[pool]
    with pytest.raises(DataError, match="images of digits that would judge here") as caught:
        job(tmp_path, f"search.pool={pool}", "run.seed=1")
    advice = re.findall(r"data\.\S+", caught.value.remedy)
    assert advice[0] == "data.seed=0"
    assert job(tmp_path, f"search.pool={pool}", "run.seed=1", *advice) == 10


def test_shards_and_jobs_take_no_scores_of_another_curriculum(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        assert shard(place, 0, 2, patched) == 5
    curriculum(place / "curriculum.h5", lr=0.2)
    with monkeypatch.context() as patched, pytest.raises(RunError, match="were made with another curriculum"):
        shard(place, 1, 2, patched)
    for search in (share, campaign):
        with pytest.raises(RunError, match="were made with another curriculum"):
            search(place)
    assert len(read_journals(place / "campaign" / "journal").scores) == 5


def test_an_algorithm_that_learns_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="evolution learns from scores"):
        shard(place, 0, 2, monkeypatch, "search.algorithm={name: evolution}")


def test_a_stopped_shard_asks_for_a_requeue_whoever_folds(place: Path) -> None:
    seen: list[object] = []
    config, watch = configured(place, "search.pool=shards"), Watch(row=seen.append, stop=lambda: len(seen) == 2)
    run = RunDirectory(place / "campaign")
    with locked(run), pytest.raises(Requeue):
        search_shard(config, run, place / "curriculum.h5", watch)
    assert len(read_journals(place / "campaign" / "journal").scores) == 2
    assert RunDirectory(place / "campaign").read_state()["stages"]["search"]["status"] == "stopped"


@pytest.mark.parametrize("search", [shard_of_one, share])
def test_one_that_has_no_time_asks_for_a_requeue_whoever_folds(place: Path, search: Callable[..., int]) -> None:
    with locked(RunDirectory(place / "campaign")), pytest.raises(Requeue, match="evaluations that wait"):
        search(place, "run.deadline=0.001")


def test_the_jobs_of_an_array_are_shards_by_name(place: Path) -> None:
    run = RunDirectory(place / "campaign")
    parts = [configured(place, "search.pool=shards", f"search.shard={part}/3") for part in (1, 0, 2)]
    assert [search_shard(config, run, place / "curriculum.h5") for config in parts] == [3, 4, 3]
    assert len({score.key for score in read_journals(run.journal).scores}) == 10
    with pytest.raises(UsageError, match="The last of 3 is 2/3"):
        search_shard(configured(place, "search.pool=shards", "search.shard=3/3"), run, place / "curriculum.h5")
