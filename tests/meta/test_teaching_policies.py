"""Teaching policies: exact gradients through the inner step, resumed bit for bit, and honest controls."""

import json
import os
import signal
import sys

import numpy as np
import pytest
import torch
from tiny import alone

from gtn_hpc.cli import main
from gtn_hpc.config import dump, parse
from gtn_hpc.core.errors import ConfigError, DataError, Requeue
from gtn_hpc.curriculum import file
from gtn_hpc.inner.step import real_loss
from gtn_hpc.meta.arena import trained
from gtn_hpc.meta.check_grad import check_gradients
from gtn_hpc.meta.events import Iterated, Played
from gtn_hpc.meta.judge import reencode
from gtn_hpc.meta.judge_policies import judge_policies
from gtn_hpc.meta.policy import Player
from gtn_hpc.meta.returns import ARMS, read_returns
from gtn_hpc.meta.setup import make_task, prepare
from gtn_hpc.meta.stage import train

CPU = torch.device("cpu")
TEXT = """
run: {name: tiny}
rl: {copies: 4, episodes: 3, horizons: [20, 50], scale: [1.2, 1.5, 0.1, 1.5], critic: [8, 8]}
learners: [{family: linear, widths: [[4, 9], [4, 9]], width_quantum: 1, norm: none, weight_norm: false}]
teacher:
  generator: {noise: 4, hidden: 8, channels: [4, 4]}
  curriculum: {steps: 1, batch: 16, labels: learned}
inner: {lr: 0.3, momentum: 0.1}
meta: {iterations: 6, batch: 80, log_every: 1, checkpoint_every: 2}
evaluate: {learners: 3, during: 2, every: 3}
"""


def tiny_policies(root, *overrides):
    return parse(TEXT, [f"run.root={root}", *overrides])


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    seen = []
    return train(tiny_policies(tmp_path_factory.mktemp("straight")), alone(), [seen.append]), seen


def test_every_way_to_the_meta_gradient_agrees_with_finite_differences(tmp_path):
    rows = check_gradients(tiny_policies(tmp_path, "teacher.curriculum.steps=2", "inner.intermediate_every=1"))
    judged = [row for row in rows if row.tolerance is not None]
    assert all(row.ok for row in judged), [row for row in judged if not row.ok]
    norms = {row.part: row.norm for row in rows if row.way == "finite differences"}
    assert norms["critic"] == 0
    assert all(norms[part] > 0 for part in ("generator", "latents", "labels", "learning rate", "momentum"))


def test_the_real_loss_has_the_gradient_of_the_actor_critic_loss(tmp_path):
    """Of the expected advantage, by hand: A log pi at the actions taken, over the steps that were played."""
    room = prepare(tiny_policies(tmp_path, "rl.entropy=0"), CPU)
    task = make_task(room, 0, 0)
    x, y = task.real[1]
    state = trained(task, 0)[1]
    logits = Player(task.learner, state, room.units).logits(x[:, :, 0, 0])
    taken = y != 0
    assert (taken.sum(dim=1) <= 1).all()
    played = taken.any(dim=1)
    assert 60 < int(played.sum()) < 80
    by_hand = -(logits.log_softmax(1) * y).sum(dim=1)[played].sum() / 80
    torch.testing.assert_close(real_loss(task.learner, state, task.real[1]), by_hand)
    weights = y.sum(dim=1)[played] * int(played.sum()) / 80
    assert float(weights.mean()) == pytest.approx(0, abs=1e-5)
    assert float(weights.std(correction=0)) == pytest.approx(1, rel=1e-3)


def test_in_bf16_a_policy_gives_its_logits_in_float32(tmp_path):
    room = prepare(tiny_policies(tmp_path, "run.precision=bf16"), CPU)
    task = make_task(room, 0, 0)
    player = Player(task.learner, task.initial, room.units)
    seen = task.real[1].x[:, :, 0, 0]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rounded = player.network(seen[:, :, None, None])
    found = player.logits(seen)
    assert (rounded.dtype, found.dtype) == (torch.bfloat16, torch.float32)
    assert torch.equal(found, rounded.float())


def test_the_critic_learns_what_policies_get(tmp_path):
    room = prepare(tiny_policies(tmp_path, "meta.batch=240", "rl.trace=1"), CPU)
    adam = torch.optim.Adam(room.critic.parameters(), lr=0.01)
    sizes = []
    for iteration in range(40):
        for name, value in make_task(room, iteration, 0).beside.items():
            room.teacher.get_parameter(name).grad = value
        adam.step()
        sizes.append(room.critic(torch.zeros(1, 4)).item())
    assert 0.08 < np.mean(sizes[-8:]) < 0.4  # of 100, what policies of chance keep the pole up for


def test_stopped_and_resumed_it_ends_the_same(tmp_path, taught):
    def stop(event):
        if isinstance(event, Iterated) and event.iteration == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    config = tiny_policies(tmp_path)
    with pytest.raises(Requeue, match="SIGTERM after 4 of 6"):
        train(config, alone(), [stop])
    again = train(config, alone())
    assert again.frozen.digest() == taught[0].frozen.digest()
    for arm, sums in taught[0].evaluation.arms.items():
        assert (again.evaluation.arms[arm] == sums).all()


def test_ordered_reduction_gives_the_same_bits_on_two_ranks(tmp_path, launch):
    ordered = ("meta.reduction=ordered", "meta.replicas=3", "meta.iterations=3")
    single = train(tiny_policies(tmp_path / "one", *ordered), alone())
    config = tmp_path / "tiny.yaml"
    config.write_text(dump(tiny_policies(tmp_path / "two", *ordered)))
    torchrun = ["torchrun", "--standalone", "--nproc-per-node", "2", "-m", "gtn_hpc"]
    told = json.loads(launch([*torchrun, "train", config, "--json"], timeout=120).stdout)
    assert told["digest"] == single.frozen.digest()
    assert told["evaluation"]["returns"]["50"]["taught"]["each"] == pytest.approx(
        single.evaluation.arms["taught"][:, -1].mean(axis=1)
    )


def test_what_is_learned_told_and_written(taught, tmp_path):
    run, seen = taught
    initial = prepare(tiny_policies(tmp_path), CPU).teacher.state_dict()
    saved = torch.load(run.run.checkpoints / "step-000006" / "state.pt", weights_only=True)["teacher"]
    learned = {name for name, value in saved.items() if not torch.equal(value, initial[name])}
    assert {"latents", "labels.logits", "schedule.log_lr", "critic.layers.0.weight"} <= learned
    assert [event.iteration for event in seen if isinstance(event, Played)] == [3, 6]
    found = read_returns(run.run.curriculum)
    assert found.horizons == (20, 50)
    assert {arm: sums.shape for arm, sums in found.arms.items()} == dict.fromkeys(ARMS, (3, 2, 3))
    assert (found.arms["taught"] == run.evaluation.arms["taught"]).all()
    assert json.loads(run.run.state.read_text())["stages"]["train"]["mean_return"] == found.summary["mean_return"]
    description = file.read(run.run.curriculum).description
    assert (description.data, description.std) == ("CartPole-v1", pytest.approx((1.2, 1.5, 0.1, 1.5)))


def test_returns_within_a_horizon_are_those_of_the_same_episodes(taught):
    for sums in taught[0].evaluation.arms.values():
        assert (np.minimum(sums[:, 1], 20) == sums[:, 0]).all()
    arms = taught[0].evaluation.arms
    assert len({arm.tobytes() for arm in arms.values()}) == 3


def test_the_file_is_judged_as_the_run_judged_it(taught, tmp_path):
    made = file.read(taught[0].run.curriculum)
    config = parse(made.config)
    found = judge_policies(made, config, CPU, policies=3)
    for arm, sums in taught[0].evaluation.arms.items():
        assert (found.arms[arm] == sums).all(), arm
    assert judge_policies(made, config, CPU, policies=2).arms["taught"].shape == (2, 2, 3)
    reencode(made, tmp_path / "half.h5", "float16", CPU)
    half = file.read(tmp_path / "half.h5")
    assert torch.equal(half.frozen.x, made.frozen.x.half().float())
    assert read_returns(tmp_path / "half.h5").horizons == (20, 50)


def test_the_random_teacher_shows_as_much_as_the_one_that_is_judged(taught, tmp_path):
    made = file.read(taught[0].run.curriculum)
    judged = judge_policies(made, parse(made.config), CPU, policies=2)
    longer = parse(made.config, ["teacher.curriculum.steps=4", "teacher.curriculum.batch=8"])
    found = judge_policies(made, longer, CPU, policies=2)
    assert all((found.arms[arm] == sums).all() for arm, sums in judged.arms.items())
    reencode(made, tmp_path / "twice.h5", "float32", CPU, passes=2)
    arena = prepare(parse(made.config), CPU)
    twice = file.read(tmp_path / "twice.h5").frozen
    assert arena._untrained(twice).x.shape == twice.x.shape


def test_a_curriculum_of_another_environment_is_refused(taught):
    made = file.read(taught[0].run.curriculum)
    other = parse(TEXT, ["rl.environment=Acrobot-v1", "rl.scale=null"])
    with pytest.raises(DataError, match=r"images of 4x1x1 in 2 classes; .* Acrobot-v1 has 6x1x1 in 3"):
        judge_policies(made, other, CPU, policies=1)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("learners=[{family: conv5}]", "the only family for them is linear"),
        ("meta.batch=81", "multiple of rl.copies; 81 is none of 4"),
        ("teacher.curriculum.start=real", "there are no real images"),
        ("teacher.curriculum.arm=real_data", "there are no real images"),
        ("rl.copys=3", "Did you mean 'copies'"),
        ("rl.horizons=[]", "rl.horizons"),
    ],
)
def test_what_does_not_fit_is_refused(override, said):
    with pytest.raises(ConfigError) as error:
        parse(TEXT, [override])
    assert said in str(error.value)


def test_units_must_be_as_many_as_numbers(tmp_path):
    with pytest.raises(ConfigError, match=r"rl\.scale has 2 units, but an observation of CartPole-v1 has 4"):
        prepare(tiny_policies(tmp_path, "rl.scale=[1, 2]"), CPU)


def test_without_gymnasium_it_is_said_how_to_get_it(tmp_path, launch):
    config = tmp_path / "tiny.yaml"
    config.write_text(dump(tiny_policies(tmp_path)))
    program = "import sys; sys.modules['gymnasium'] = None\nfrom gtn_hpc.cli import main\nsys.exit(main(sys.argv[1:]))"
    done = launch([sys.executable, "-c", program, "train", config], check=False)
    assert done.returncode == 2
    assert "pip install 'gtn_hpc[rl]'" in done.stderr


def test_evaluate_shows_returns_by_horizon_and_knows_no_splits(taught, capsys):
    path = str(taught[0].run.curriculum)
    assert main(["evaluate", path, "--learners", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["evaluation"]
    assert set(told["returns"]) == {"20", "50"}
    assert told["returns"]["50"]["taught"]["value"] == pytest.approx(taught[0].evaluation.summary["mean_return"])
    assert main(["evaluate", path]) == 0
    assert "Return of 3 never-seen policies, 3 episodes of 50 steps each" in " ".join(capsys.readouterr().out.split())
    assert main(["evaluate", path, "--split", "test"]) == 2
    assert "no splits" in capsys.readouterr().err
