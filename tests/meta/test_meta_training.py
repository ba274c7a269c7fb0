"""Meta-training in one process: reproducible, observed, and never updated by what is not finite."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from tiny import alone, tiny

from gtn_hpc import checkpoint
from gtn_hpc.cluster.communicator import SoloCommunicator
from gtn_hpc.core.errors import NonFiniteError
from gtn_hpc.core.events import read_events
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.curriculum import file
from gtn_hpc.inner.build import make_engine
from gtn_hpc.meta.events import Evaluated, Iterated, Noted, Refused
from gtn_hpc.meta.loop import Loop
from gtn_hpc.meta.outer import Outer
from gtn_hpc.meta.place import Place
from gtn_hpc.meta.replica import fresh_learner, judged_after
from gtn_hpc.meta.resuming import Checkpoints
from gtn_hpc.meta.setup import make_task, prepare
from gtn_hpc.meta.stage import JUDGING, train

ARMS = ("full", "shuffled_batch", "all_shuffled", "none", "fixed_latents", "distilled_pixels", "real_data")
CPU = torch.device("cpu")


def test_the_same_seed_gives_the_same_curriculum_and_another_one_another(tmp_path):
    first = train(tiny(tmp_path / "a"), alone())
    again = train(tiny(tmp_path / "b"), alone())
    other = train(tiny(tmp_path / "c", "run.seed=1"), alone())
    assert first.frozen.digest() == again.frozen.digest() != other.frozen.digest()
    assert (first.evaluation.teacher == again.evaluation.teacher).all()
    assert file.read(first.run.curriculum).digest == first.frozen.digest()


def test_a_finished_run_is_not_judged_again(tmp_path):
    first = train(tiny(tmp_path), alone())
    seen = []
    again = train(tiny(tmp_path), alone(), [seen.append])
    assert (again.evaluation.teacher == first.evaluation.teacher).all()
    assert not [event for event in seen if isinstance(event, Noted | Iterated)]
    first.run.curriculum.write_bytes(b"damaged")
    assert train(tiny(tmp_path), alone()).evaluation.teacher.shape == (2, 3)
    assert file.read(first.run.curriculum).digest == first.frozen.digest()


@pytest.mark.parametrize("arm", ARMS)
def test_each_arm_learns_and_exports(tmp_path, arm):
    config = tiny(tmp_path, "meta.iterations=2", f"teacher.curriculum.arm={arm}", "teacher.curriculum.labels=learned")
    initial = {name: p.detach().clone() for name, p in prepare(config, CPU).teacher.named_parameters()}
    taught = train(config, alone())
    found = file.read(taught.run.curriculum)
    assert found.description.arm == arm
    assert found.frozen.x.shape == (3, 10, 1, 8, 8)
    assert not torch.equal(found.frozen.schedule.table()[0], initial["schedule.log_lr"].exp())


def test_what_observers_are_told(tmp_path):
    seen = []
    taught = train(tiny(tmp_path, "evaluate.every=2"), alone(), [seen.append])
    steps = [event for event in seen if isinstance(event, Iterated)]
    assert [event.iteration for event in steps] == [0, 1, 2, 3]
    assert all(math.isfinite(event.loss) and event.gradient_norm > 0 for event in steps)
    assert [event.iteration for event in seen if isinstance(event, Evaluated)] == [2, 4]
    assert {event.ranks for event in steps} == {1}
    written = list(read_events(taught.run.events))
    assert [event["loss"] for event in written if event["kind"] == "iterated"] == [event.loss for event in steps]
    assert {"step-000002", "step-000004"} <= {path.name for path in taught.run.checkpoints.iterdir()}
    assert list(taught.run.tensorboard.glob("events*"))


def test_the_outer_rate_follows_a_cosine(tmp_path):
    room = prepare(tiny(tmp_path, "meta.iterations=100", "meta.lr=0.02", "meta.final_lr=0.25"), CPU)
    outer = Outer(room.teacher, room.config.meta)
    assert [outer.lr(i) for i in (0, 50, 100)] == pytest.approx([0.02, 0.0125, 0.005])


def test_the_outer_step_is_that_of_torch_optim_and_goes_on_from_its_state(tmp_path):
    room = prepare(tiny(tmp_path, "meta.iterations=6", "meta.betas=[0.5,0.9]", "meta.clip=null"), CPU)
    outer, twin = Outer(room.teacher, room.config.meta), copy.deepcopy(room.teacher)
    adam = torch.optim.Adam(twin.parameters(), betas=(0.5, 0.9), eps=room.config.meta.eps, foreach=True)
    for iteration in range(6):
        if iteration == 3:
            kept, outer = outer.state(), Outer(room.teacher, room.config.meta)
            outer.restore(kept)
        for p in twin.parameters():
            p.grad = torch.randn(p.shape, dtype=p.dtype)
        gradient = {name: p.grad for name, p in twin.named_parameters()}
        outer.step(gradient, iteration)
        adam.param_groups[0]["lr"] = outer.lr(iteration)
        adam.step()
    for name, p in twin.named_parameters():
        assert torch.equal(room.teacher.get_parameter(name), p), name
        assert all(torch.equal(outer.named()[f"{k} of {name}"], v) for k, v in adam.state[p].items()), name


def test_clipping_bounds_the_gradient_that_is_used_and_tells_the_norm_before(tmp_path):
    room = prepare(tiny(tmp_path, "meta.clip=0.001"), CPU)
    outer = Outer(room.teacher, room.config.meta)
    gradient = {name: torch.ones_like(p) for name, p in room.teacher.named_parameters()}
    norm = outer.step(gradient, 0)
    assert norm == pytest.approx(math.sqrt(sum(g.numel() for g in gradient.values())))
    used = math.sqrt(sum(float((state["exp_avg"] / 0.1).square().sum()) for state in outer.adam.moments))
    assert used == pytest.approx(0.001, rel=1e-3)


def test_a_gradient_that_is_not_finite_updates_nothing(tmp_path):
    seen = []
    config = tiny(tmp_path, "inner.lr=1e30", "meta.max_refused=3", "meta.max_returns=0", "meta.iterations=9")
    with pytest.raises(NonFiniteError, match="3 meta-iterations in a row") as error:
        train(config, alone(), [seen.append])
    assert error.value.remedy is not None
    assert [event.iteration for event in seen if isinstance(event, Refused)] == [0, 1, 2]
    assert not [event for event in seen if isinstance(event, Iterated)]
    refused = checkpoint.load(tmp_path / "tiny" / "refused" / "step-000002").tensors["teacher"]
    for name, value in prepare(config, CPU).teacher.state_dict().items():
        assert torch.equal(refused[name], value)
    state = config.run.directory.read_state()["stages"]["train"]
    assert state["status"] == "failed" and "3 meta-iterations in a row" in state["reason"]


def test_a_run_that_never_updated_has_no_curriculum(tmp_path):
    config = tiny(tmp_path, "inner.lr=1e30", "meta.average=0.9")
    with pytest.raises(NonFiniteError, match="No meta-iteration gave a finite meta-gradient"):
        train(config, alone())
    assert not config.run.directory.curriculum.exists()


def test_the_other_ranks_wait_for_an_evaluation_as_for_the_judging(tmp_path):
    class Waiting(SoloCommunicator):
        def barrier(self, name, timeout=None):
            waits.append((name, timeout))

    waits, connection = [], replace(alone(), communicator=Waiting())
    train(tiny(tmp_path, "evaluate.every=2"), connection)
    assert waits == [("an evaluation", JUDGING), ("an evaluation", JUDGING), ("curriculum written", JUDGING)]


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e30])
def test_one_bad_replica_keeps_all_from_the_update(tmp_path, bad):
    """A gradient is bad as well where only the square of its norm is no number: it would be clipped to NaN."""
    config = tiny(tmp_path, "meta.replicas=2", "meta.iterations=1")
    room, seen, calls = prepare(config, CPU), [], []

    def engine(task, teacher):
        found = make_engine(config.engine)(task, teacher)
        calls.append(task)
        if len(calls) == 2:
            found.gradient["schedule.log_lr"][0] = bad
        return found

    outer, solo = Outer(room.teacher, config.meta), SoloCommunicator()
    checkpoints = Checkpoints(config, RunDirectory(tmp_path), outer, solo, print)
    before = {name: p.detach().clone() for name, p in room.teacher.named_parameters()}
    Loop(room, engine, outer, solo, checkpoints, seen.append, bool, lambda place, stopping: None).run(Place())
    (event,) = seen
    assert isinstance(event, Refused)
    assert [suspect.replica for suspect in event.replicas] == [1]
    assert all(torch.equal(before[name], p) for name, p in room.teacher.named_parameters())


def test_replicas_are_other_learners_and_a_replica_does_not_depend_on_their_number(tmp_path):
    room = prepare(tiny(tmp_path), CPU)
    tasks = [make_task(room, 3, replica) for replica in (0, 1)]
    again = make_task(prepare(tiny(tmp_path, "meta.replicas=8"), CPU), 3, 1)
    shapes = [[tuple(p.shape) for p in task.initial.params.values()] for task in tasks]
    assert shapes[0] != shapes[1] or any(
        not torch.equal(a, b)
        for a, b in zip(tasks[0].initial.params.values(), tasks[1].initial.params.values(), strict=True)
    )
    for name, value in again.initial.params.items():
        assert torch.equal(value, tasks[1].initial.params[name])
    assert torch.equal(again.real[3].x, tasks[1].real[3].x)


@pytest.mark.parametrize("quantum", [1, 4, 8])
def test_widths_are_multiples_of_the_quantum_within_their_ranges(tmp_path, quantum):
    widths = "[[8, 25], [16, 33], [8, 17]]"
    section = f"learners=[{{family: conv2-fc, widths: {widths}, width_quantum: {quantum}}}]"
    config = tiny(tmp_path, section)
    shape = prepare(config, CPU).splits.shape
    found = set()
    for index in range(12):
        module = fresh_learner(config, shape, 10, "test", index, device=CPU).module
        found.add(tuple(p.shape[0] for name, p in module.named_parameters() if p.dim() > 1)[:3])
    assert len(found) > 4
    for first, second, hidden in found:
        assert all(width % quantum == 0 for width in (first, second, hidden))
        assert 8 <= first < 25
        assert 16 <= second < 33
        assert 8 <= hidden < 17


@pytest.mark.parametrize(("steps", "every", "expected"), [(8, 0, [8]), (8, 3, [3, 6, 8]), (6, 3, [3, 6]), (2, 5, [2])])
def test_after_which_steps_the_real_loss_is_taken(steps, every, expected):
    assert judged_after(steps, every) == expected
