"""When a run saves, and what it comes back to."""

import subprocess

import pytest
from survival_runs import alone, tiny

from gtn_hpc.checkpoint import latest
from gtn_hpc.cluster.communicator import SoloCommunicator
from gtn_hpc.core.errors import CheckpointError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.meta.outer import Outer
from gtn_hpc.meta.place import Place
from gtn_hpc.meta.resuming import Checkpoints
from gtn_hpc.meta.setup import prepare

SMALL = {"meta__replicas": 1, "meta__iterations": 4, "meta__keep": 9}


def saved(run):
    return sorted(int(path.name.removeprefix("step-")) for path in (run / "checkpoints").iterdir())


def test_the_beginning_each_nth_meta_iteration_and_the_end_are_saved(tmp_path):
    alone(tiny(tmp_path, **SMALL, meta__checkpoint_every=3))
    assert saved(tmp_path / "tiny") == [0, 3, 4]


def test_minutes_count_as_well(tmp_path):
    alone(tiny(tmp_path, **SMALL, meta__checkpoint_every=1000, meta__checkpoint_minutes=1e-9))
    assert saved(tmp_path / "tiny") == [0, 1, 2, 3, 4]


@pytest.fixture
def small_disk(tmp_path, mount_disk):
    """The directory of checkpoints on a disk of its own, which can be made larger."""
    place = tmp_path / "tiny" / "checkpoints"
    place.mkdir(parents=True)
    mount_disk(place, "256k")
    return place


def test_a_full_disk_ends_the_run_and_keeps_what_was_there(tmp_path, small_disk):
    config = tiny(tmp_path, **SMALL | {"meta__iterations": 40, "meta__keep": 99}, meta__checkpoint_every=1)
    with pytest.raises(CheckpointError, match=r"could not be written to .*No space left"):
        alone(config)
    steps = saved(tmp_path / "tiny")
    assert 2 < len(steps) < 41 and steps == list(range(len(steps)))
    assert latest(small_disk).step == steps[-1]
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    alone(config)
    assert latest(small_disk).step == 40


def test_a_run_whose_checkpoints_are_all_damaged_does_not_begin_anew(tmp_path):
    config = tiny(tmp_path, **SMALL)
    alone(config)
    checkpoints = tmp_path / "tiny" / "checkpoints"
    for path in checkpoints.glob("step-*/state.pt"):
        path.write_bytes(b"")
    before = saved(tmp_path / "tiny")
    with pytest.raises(CheckpointError, match=r"None of the checkpoints in .* is whole"):
        alone(config)
    assert saved(tmp_path / "tiny") == before


def test_there_is_nothing_to_go_back_to(tmp_path):
    config = tiny(tmp_path, **SMALL)
    room = prepare(config, "cpu")
    run = RunDirectory(tmp_path / "tiny")
    checkpoints = Checkpoints(config, run, Outer(room.teacher, config.meta), SoloCommunicator(), print)
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        checkpoints.go_back(Place(done=3, refused=3))
