"""Two real ranks: a gradient that is not finite, ranks that go apart, a rank that hangs."""

import json

import pytest
from survival_runs import HERE, TIME_LIMIT, events, ranks

from gtn_hpc.checkpoint import latest, load


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Where two ranks have been through all of it; the second one is left stopped, and removed."""
    root = tmp_path_factory.mktemp("guards")
    with ranks(HERE / "guarded_program.py", [root], world=2) as (first, _):
        first.communicate(timeout=TIME_LIMIT)
    return root


@pytest.fixture(scope="module")
def told(root):
    """What rank 0 and rank 1 returned or raised, by run."""
    return [json.loads((root / f"told-{rank}.json").read_text()) for rank in (0, 1)]


def of_kind(run, kind, rank=0):
    return [event for event in events(run, rank) if event["kind"] == kind]


def test_a_gradient_that_is_not_finite_updates_nobody_and_all_say_whose_it_was(root, told):
    assert told[0]["refused"] == told[1]["refused"] != told[0]["clean"]
    for rank in (0, 1):
        (event,) = of_kind(root / "refused", "refused", rank)
        assert event["iteration"] == 3 and event["in_a_row"] == 1
        (suspect,) = event["replicas"]
        assert (suspect["rank"], suspect["replica"], suspect["family"]) == (1, 1, "conv2-gap")
    steps = latest(root / "refused" / "checkpoints").tensors["adam"]
    assert {int(moments["step"]) for moments in steps.values()} == {9}, "one of ten updates has to be missing"


def test_the_teacher_of_that_moment_is_kept_for_a_replay(root):
    (event,) = of_kind(root / "refused", "refused")
    kept = load(root / "refused" / "refused" / "step-000003")
    assert event["replay"] == str(kept.path)
    assert kept.meta["place"] == {"done": 3, "refused": 0, "generation": 0}
    assert kept.meta["replicas"] == event["replicas"]
    assert {int(moments["step"]) for moments in kept.tensors["adam"].values()} == {3}


def test_after_three_in_a_row_all_go_back_and_on_with_fresh_streams(root, told):
    assert told[0]["back"] == told[1]["back"] != told[0]["clean"]
    for rank in (0, 1):
        (back,) = of_kind(root / "back", "wentback", rank)
        assert (back["iteration"], back["generation"]) == (5, 1)
        assert [event["in_a_row"] for event in of_kind(root / "back", "refused", rank)] == [1, 2, 3]
    end = latest(root / "back" / "checkpoints")
    assert end.meta["place"] == {"done": 10, "refused": 0, "generation": 1}


def test_a_run_that_diverges_again_and_again_stops_with_the_reason(root, told):
    for said in told:
        assert "not finite in 3 meta-iterations in a row" in said["given_up"]
        assert "after 2 returns to a checkpoint" in said["given_up"] and "inner.lr" in said["given_up"]
    assert [event["generation"] for event in of_kind(root / "given_up", "wentback")] == [1, 2]
    assert latest(root / "given_up" / "checkpoints").step == 5


def test_ranks_that_went_apart_stop_and_name_the_tensor(told):
    said = [rank["drifted"] for rank in told]
    assert said[0] == said[1]
    assert said[0].startswith("The ranks went apart by meta-iteration 8: '")
    assert "of rank 1 is not that of rank 0" in said[0]


def test_a_rank_that_hangs_is_named_by_the_others(told):
    assert "rank 1 did not come" in told[0]["hung"]
    assert "hung" not in told[1], "it was stopped"
