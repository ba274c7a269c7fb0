"""Vectorised environments, rollouts and advantages."""

import gymnasium
import numpy as np
import pytest

from gtn_hpc.core.errors import ConfigError
from gtn_hpc.environments import Environment, Rollout, advantages


def upright(seen):
    """A controller that balances the pole for long."""
    return (seen @ np.array([0.05, 0.1, 1.0, 0.3]) > 0).astype(np.int64)


def left(seen):
    return np.zeros(len(seen), dtype=np.int64)


def test_a_copy_plays_what_the_single_environment_plays():
    environment = Environment("CartPole-v1", 3)
    rollout = environment.play(left, 6, seed=5)
    single = gymnasium.make("CartPole-v1").unwrapped
    single.reset()
    single.state = rollout.observations[0, 1].astype(np.float64)
    for t in range(6):
        observation, reward, terminated, _, _ = single.step(0)
        np.testing.assert_allclose(rollout.observations[t + 1, 1], observation, rtol=1e-5, atol=1e-6)
        assert (rollout.rewards[t, 1], rollout.terminated[t, 1]) == (reward, terminated)


def test_the_same_seed_gives_the_same_rollout_whatever_was_played_before():
    environment = Environment("CartPole-v1", 2)
    first = environment.play(upright, 30, seed=1)
    other = environment.play(left, 30, seed=2)
    again = environment.play(upright, 30, seed=1)
    assert (first.observations == again.observations).all()
    assert (first.observations[0] != other.observations[0]).any()


def test_after_an_end_a_copy_is_reset_and_the_step_does_not_count():
    rollout = Environment("CartPole-v1", 2).play(left, 40, seed=0)
    ends = np.flatnonzero(rollout.ended[:-1, 0])
    assert len(ends) > 1
    for t in ends:
        assert not rollout.played[t + 1, 0]
        assert abs(rollout.observations[t + 2, 0]).max() <= 0.05 < abs(rollout.observations[t + 1, 0]).max()
    assert rollout.rewards[~rollout.played].sum() == 0


def test_returns_count_one_episode_a_copy_up_to_the_limit():
    environment = Environment("CartPole-v1", 3, 60)
    rewards = environment.episodes(left, 60, seed=0)
    assert all(8 <= total <= 11 for total in rewards.sum(axis=0))
    assert environment.episodes(upright, 60, seed=0).sum(axis=0).tolist() == [60, 60, 60]
    cut = environment.play(upright, 60, seed=0)
    assert cut.ended[-1].all()
    assert not cut.terminated[-1].any()


def test_advantages_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    steps, discount, trace = 7, 0.9, 0.8
    terminated = np.zeros((steps, 2), dtype=bool)
    terminated[2, 0] = True
    ended = terminated.copy()
    ended[4, 1] = True
    rewards, values = rng.normal(size=(steps, 2)), rng.normal(size=(steps + 1, 2))
    rollout = Rollout(np.zeros((steps + 1, 2, 4)), np.zeros((steps, 2)), rewards, terminated, ended, ~ended)
    found = advantages(rollout, values, discount, trace)
    for n in range(2):
        for t in range(steps):
            expected, weight = 0.0, 1.0
            for k in range(t, steps):
                following = 0.0 if terminated[k, n] else values[k + 1, n]
                expected += weight * (rewards[k, n] + discount * following - values[k, n])
                weight *= discount * trace
                if ended[k, n]:
                    break
            assert found.advantage[t, n] == pytest.approx(expected)
    np.testing.assert_allclose(found.target, found.advantage + values[:-1])


def test_units_are_those_of_a_policy_of_chance():
    environment = Environment("CartPole-v1", 8)
    scale = environment.scale(200, seed=3)
    assert (scale.std > 0.05).all()
    assert abs(scale.mean).max() < 0.3
    assert (environment.scale(200, seed=3).std == scale.std).all()


def test_other_environments_serve_too():
    environment = Environment("Acrobot-v1", 2)
    assert (environment.numbers, environment.actions) == (6, 3)
    assert environment.play(left, 3, seed=0).rewards.tolist() == [[-1, -1]] * 3


@pytest.mark.parametrize(
    ("name", "said"),
    [("CartPool-v1", "Did you mean 'CartPole-v1'"), ("MountainCarContinuous-v0", "actions to choose from")],
)
def test_what_cannot_be_played_is_refused(name, said):
    with pytest.raises(ConfigError, match=r"rl\.environment") as error:
        Environment(name, 2)
    assert said in str(error.value)


class Unable(gymnasium.Env):
    """Cannot be made where something is not installed."""

    def __init__(self, **_):
        raise gymnasium.error.DependencyNotInstalled("box2d is not installed")


class Resetting(gymnasium.vector.SyncVectorEnv):
    """Resets in the step of an episode's end."""

    def __init__(self, num_envs=1, **_):
        copies = [lambda: gymnasium.make("CartPole-v1")] * num_envs
        super().__init__(copies, autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP)


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ({"entry_point": Unable}, ["cannot make", "box2d", "Install what that names"]),
        ({"vector_entry_point": Resetting}, ["does not reset", "as those of CartPole-v1"]),
    ],
)
def test_what_does_not_fit_says_what_would(points, said):
    gymnasium.register("Odd-v0", **points)
    try:
        with pytest.raises(ConfigError, match=r"rl\.environment") as error:
            Environment("Odd-v0", 2)
    finally:
        del gymnasium.registry["Odd-v0"]
    assert all(word in str(error.value) for word in said)
