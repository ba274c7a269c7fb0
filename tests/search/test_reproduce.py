"""A recorded score again, from the files alone."""

from pathlib import Path

import pytest
import torch
from search_campaign import campaign, curriculum

from gtn_hpc.config import dump, parse
from gtn_hpc.core.errors import RunError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import files
from gtn_hpc.scores.opened import open as open_scores
from gtn_hpc.search.reproduce import _config, reproduce
from gtn_hpc.training.steppers import Flat


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


def test_learners_that_were_saved_to_be_taught_on_are_taught_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = curriculum(tmp_path / "curriculum.h5").parent
    halving = "search.algorithm={name: halving, first: 1, eta: 2, asynchronous: false}"
    options = (halving, "search.replicas=1", "search.budget=4", "search.certificate.fraction=0")
    campaign(place, f"search.curriculum={place}/curriculum.h5", *options)
    states = tmp_path / "campaign" / "states"
    before = {path: path.read_bytes() for path in states.rglob("*") if path.is_file()}
    with open_scores(tmp_path / "campaign" / "scores.h5") as tables:
        arch = str(tables.scores.sort_values("fidelity").arch.iloc[-1])
    steps: list[int] = []
    take = Flat.step
    monkeypatch.setattr(Flat, "step", lambda self, t, *rest: (steps.append(t), take(self, t, *rest))[1])
    found = reproduce(tmp_path / "campaign" / "scores.h5", arch)
    assert all(again.equal for again in found)
    assert len(steps) == sum(again.fidelity for again in found) > 3
    assert {path: path.read_bytes() for path in states.rglob("*") if path.is_file()} == before


def test_another_curriculum_is_told(run: RunDirectory, arch: str) -> None:
    beside = run.path.parent / "curriculum.h5"
    kept = beside.read_bytes()
    try:
        curriculum(beside, lr=0.2)
        found = reproduce(run.scores, arch)
    finally:
        beside.write_bytes(kept)
    assert not any(again.same_key or again.equal for again in found)


def test_the_image_set_is_looked_for_where_it_is_now(tmp_path: Path) -> None:
    for place, root in ((tmp_path / "gone", None), (tmp_path, str(tmp_path))):
        made = dump(parse("run: {name: a}", ["data.name=mnist", f"data.root={place}"]))
        assert _config(tmp_path, made).data.root == root


def test_a_row_that_a_limit_ended_is_left_out(run: RunDirectory, arch: str, tmp_path: Path) -> None:
    changed = files.load(run.scores)
    rows = changed["scores"]
    status = rows["status"].astype("S9")
    status[(rows["arch"] == arch.encode()) & (rows["replica"] == 1)] = b"timeout"
    changed["scores"] = rows | {"status": status}
    with open_scores(run.scores) as tables:
        files.write(tmp_path / "scores.h5", changed, config=tables.config, environment=tables.environment)
    again, left_out = sorted(reproduce(tmp_path / "scores.h5", arch), key=lambda found: found.replica)
    assert (again.status, again.equal) == ("ok", True)
    assert (left_out.status, left_out.now, left_out.equal) == ("timeout", None, False)


def test_an_unknown_architecture_is_refused_in_words(run: RunDirectory) -> None:
    with pytest.raises(RunError, match="no architecture whose digest begins with 'xyz'"):
        reproduce(run.scores, "xyz")
