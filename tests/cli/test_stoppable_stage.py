"""A stage that is stopped wants a requeue from the first signal on, for its job may end before it does."""

import os
import signal

import pytest

from gtn_hpc.cli.stopping import stoppable
from gtn_hpc.config import parse
from gtn_hpc.core.errors import Requeue
from gtn_hpc.core.rundir import RunDirectory

CONFIG = parse("run: {name: a}")


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "a")
    run.create()
    return run


def wants_requeue(run):
    return run.read_state()["wants_requeue"]


def test_from_the_signal_to_the_requeue(run):
    with pytest.raises(Requeue), stoppable(run, "search", CONFIG) as stop:
        assert not wants_requeue(run)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop and wants_requeue(run)
        raise Requeue("stopped")
    assert wants_requeue(run)


def test_a_stage_that_ends_nevertheless_takes_it_back(run):
    with stoppable(run, "search", CONFIG):
        os.kill(os.getpid(), signal.SIGTERM)
        assert wants_requeue(run)
    assert not wants_requeue(run)


def test_a_stage_that_ends_is_done_and_wants_nothing_that_an_earlier_stop_wanted(run):
    with pytest.raises(Requeue), stoppable(run, "final", CONFIG):
        raise Requeue("stopped")
    assert wants_requeue(run)
    with stoppable(run, "final", CONFIG):
        pass
    assert not wants_requeue(run)
    assert run.read_state()["stages"]["final"]["done"] is True


@pytest.mark.parametrize("pool", ["shards", "shared"])
def test_a_part_of_a_search_ends_without_the_search_being_done(run, pool):
    with stoppable(run, "search", parse(f"run: {{name: a}}\nsearch: {{pool: {pool}}}")):
        pass
    assert set(run.read_state()["stages"]["search"]) == {"updated"}


def test_a_stage_that_fails_is_not_done(run):
    with pytest.raises(ValueError, match="bad"), stoppable(run, "final", CONFIG):
        raise ValueError("bad")
    assert run.read_state()["stages"] == {}


def test_the_run_s_deadline_stops_it(run):
    with stoppable(run, "search", parse("run: {name: a, deadline: 0.05}")) as stop:
        while not stop:
            signal.sigtimedwait([], 0.01)
        assert stop.reason == "the deadline"
