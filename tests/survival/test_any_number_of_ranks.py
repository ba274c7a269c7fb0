"""1, 2, 3 and 4 real ranks of 8 replicas teach the same teacher; a run goes on with another number of ranks."""

import json
import multiprocessing

import any_world_program
import pytest
from survival_runs import TIME_LIMIT, alone, free_port, tiny

from gtn_hpc.checkpoint import latest
from gtn_hpc.cluster.environment import Master, RankEnvironment
from gtn_hpc.curriculum import file

WORLDS = (2, 3, 4)


@pytest.fixture(scope="module")
def taught_by(tmp_path_factory):
    """Gives the directory of the runs of so many ranks, made when first asked for; of three ranks one was stopped."""
    made = {}

    def runs(world):
        if world not in made:
            root = made[world] = tmp_path_factory.mktemp(f"world-{world}")
            if world == 1:
                alone(tiny(root, **any_world_program.FAST))
                alone(tiny(root, run__name="ordered"))
            else:
                assert exit_codes(root, world) == [0] * world
        return made[world]

    return runs


def exit_codes(root, world):
    """Of that many ranks, forked from a process that has loaded what they need: starting takes longer than teaching."""
    forkserver = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload(["any_world_program", "sklearn.datasets", "torch.utils.tensorboard"])
    master = Master("127.0.0.1", free_port())
    places = [RankEnvironment(rank, world, rank, world, "torchrun", master) for rank in range(world)]
    started = [forkserver.Process(target=any_world_program.main, args=(root, place), daemon=True) for place in places]
    for process in started:
        process.start()
    for process in started:
        process.join(TIME_LIMIT)
    return [process.exitcode for process in started]


def digest(run):
    return file.read(run / "curriculum.h5").digest


def flat(run):
    found = latest(run / "checkpoints")
    assert found.step == 20
    return found.tensors["teacher"]


@pytest.mark.parametrize("world", WORLDS)
def test_ordered_gives_the_same_bits(taught_by, world):
    assert digest(taught_by(world) / "ordered") == digest(taught_by(1) / "ordered")


@pytest.mark.parametrize("world", WORLDS)
def test_fast_agrees_to_ten_digits_after_twenty_updates(taught_by, world):
    one, many = flat(taught_by(1) / "fast"), flat(taught_by(world) / "fast")
    assert one.keys() == many.keys()
    distance = sum(float((one[name] - many[name]).square().sum()) for name in one) ** 0.5
    size = sum(float(one[name].square().sum()) for name in one) ** 0.5
    assert distance <= 1e-10 * size


def test_a_stop_asked_of_one_rank_stops_all_with_a_whole_checkpoint(taught_by):
    said = [(taught_by(3) / f"said-{rank}").read_text() for rank in range(3)]
    assert "Stopped by SIGTERM after 10 of 20" in said[1] and "Stopped by another rank after 10" in said[0]
    run = taught_by(3) / "stopped"
    state = json.loads((run / "state.json").read_text())
    assert state["wants_requeue"] and state["stages"]["train"]["iteration"] == 10
    assert latest(run / "checkpoints").step == 10


def test_one_rank_goes_on_where_three_stopped(taught_by):
    run = taught_by(3) / "stopped"
    alone(tiny(taught_by(3), run__name="stopped"))
    assert digest(run) == digest(taught_by(1) / "ordered")
    assert not json.loads((run / "state.json").read_text())["wants_requeue"]
