"""A recorded score again, from the files alone."""

import pytest
import torch
from search_campaign import campaign, curriculum

from gtn_hpc.core.errors import RunError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores.opened import open as open_scores
from gtn_hpc.search.reproduce import reproduce


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("reproduce")
    curriculum(place / "curriculum.h5")
    campaign(place, f"search.curriculum={place}/curriculum.h5")
    return RunDirectory(place / "campaign")


@pytest.fixture
def arch(run: RunDirectory) -> str:
    with open_scores(run.scores) as tables:
        return str(tables.scores.arch.iloc[0])


def test_every_replica_has_the_same_bits(run: RunDirectory, arch: str) -> None:
    found = reproduce(run.scores, arch[:10])
    assert sorted(again.replica for again in found) == [0, 1]
    assert all(again.equal and again.same_key for again in found)


def test_another_curriculum_is_told(run: RunDirectory, arch: str) -> None:
    beside = run.path.parent / "curriculum.h5"
    kept = beside.read_bytes()
    try:
        curriculum(beside, lr=0.2)
        found = reproduce(run.scores, arch)
    finally:
        beside.write_bytes(kept)
    assert not any(again.same_key or again.equal for again in found)


def test_an_unknown_architecture_is_refused_in_words(run: RunDirectory) -> None:
    with pytest.raises(RunError, match="no architecture whose digest begins with 'xyz'"):
        reproduce(run.scores, "xyz")
