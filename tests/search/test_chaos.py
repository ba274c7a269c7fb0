"""Failures on purpose: each kind strikes once, is what it should be in the store, and the search goes on."""

import multiprocessing
import signal
from pathlib import Path

import pytest
import torch
from search_campaign import campaign, configured, curriculum

from gtn_hpc.core.errors import ConfigError, StorageError
from gtn_hpc.scores import comparing
from gtn_hpc.scores.opened import open as open_scores
from gtn_hpc.scores.replay import read_journals

OPTIONS = ("search.certificate.fraction=0", "search.replicas=1")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    torch.set_num_threads(1)
    curriculum(tmp_path / "curriculum.h5")
    return tmp_path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("undisturbed")
    curriculum(place / "curriculum.h5")
    campaign(place, *OPTIONS)
    return comparing.digest(place / "campaign")


def test_a_crash_a_kill_and_a_lack_of_memory_that_passes_change_nothing(place: Path, undisturbed: str) -> None:
    for kind, budget in (("kill", 1), ("segfault", 3), ("oom", 5)):
        chaos = f"search.chaos={kind}:rank=0@eval=1"
        campaign(
            place, *OPTIONS, "search.isolate=true", f"search.budget={budget}", "search.limits.bytes=300000000", chaos
        )
        assert (place / "campaign" / "journal" / f"chaos-{kind}-0-1").exists()
    assert comparing.digest(place / "campaign") == undisturbed


@pytest.mark.parametrize(
    ("kind", "limits"),
    [
        ("nan", ()),
        ("hang", ("search.limits.seconds=10", "search.isolate=true")),
    ],
)
def test_a_failure_of_the_training_is_one_row(kind: str, limits: tuple[str, ...], place: Path) -> None:
    report = campaign(place, *OPTIONS, *limits, "search.budget=3", f"search.chaos={kind}:rank=0@eval=2")
    assert report.statuses == {"ok": 2, {"nan": "nan", "hang": "timeout"}[kind]: 1}
    with open_scores(place / "campaign" / "scores.h5") as tables:
        (detail,) = tables.failures.detail
        assert {"nan": "The loss is NaN (search.chaos).", "hang": "ended after 10 s"}[kind] in detail
        assert (tables.scores.params > 0).all()


def test_a_full_disk_ends_the_search_in_words_and_it_goes_on(place: Path, undisturbed: str) -> None:
    with pytest.raises(StorageError, match="no space left"):
        campaign(place, *OPTIONS, "search.chaos=disk:rank=0@eval=2")
    assert len(read_journals(place / "campaign" / "journal").scores) == 1
    campaign(place, *OPTIONS)
    assert comparing.digest(place / "campaign") == undisturbed


def test_a_torn_write_is_found_and_written_again(place: Path, undisturbed: str) -> None:
    process = multiprocessing.get_context("fork").Process(
        target=campaign, args=(place, *OPTIONS, "search.chaos=torn:rank=0@eval=3")
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    journals = read_journals(place / "campaign" / "journal")
    assert len(journals.scores) == 2
    assert [damage.kind for damage in journals.damage] == ["torn"]
    campaign(place, *OPTIONS)
    assert comparing.digest(place / "campaign") == undisturbed


def test_a_kind_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"search\.chaos"):
        configured(tmp_path, "search.chaos=flood:rank=0@eval=1")
