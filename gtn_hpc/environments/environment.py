"""Copies of a gymnasium environment that a policy plays side by side.

Shapes: L steps, N copies, S numbers of an observation, A actions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from gtn_hpc.core.errors import ConfigError, nearest
from gtn_hpc.core.streams import derive

Array = NDArray[np.float32]
Flags = NDArray[np.bool_]
Policy = Callable[[Array], NDArray[np.int64]]
"""Observations [N, S] to actions [N]."""

NEEDED = (
    "Needed: a vector of numbers, actions to choose from, a reset in the step after an end, as those of CartPole-v1."
)
MISSING = "Install what that names, or take another environment: rl.environment=CartPole-v1."


@dataclass(frozen=True, eq=False)
class Rollout:
    """What happened in `L` steps of `N` copies; an episode that ends is followed by the next one.

    `observations` [L + 1, N, S]; `actions`, `rewards` [L, N]; `terminated`: the state after the step is worth nothing
    more; `ended`: so it is, or the time limit cut the episode; `played`: false where a copy was reset, and did nothing.
    """

    observations: Array
    actions: NDArray[np.int64]
    rewards: Array
    terminated: Flags
    ended: Flags
    played: Flags


class Scale(NamedTuple):
    """What counts as 0 and as 1 of each number of an observation [S]."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


class Environment:
    """`copies` copies of the environment `name`, whose episodes end after `limit` steps (None: its own limit)."""

    def __init__(self, name: str, copies: int, limit: int | None = None) -> None:
        """Raises ConfigError: there is no such environment, or it has not the spaces that are needed."""
        self.name, self.copies = name, copies
        self._env = _made(name, copies, limit)
        self.numbers, self.actions = _sizes(self._env, name)

    def play(self, policy: Policy, steps: int, seed: int) -> Rollout:
        """`steps` steps from fresh states, all of them a function of `seed` and of what the policy does."""
        seen, rows = [self._reset(seed)], []
        over = np.zeros(self.copies, dtype=bool)
        for _ in range(steps):
            played, actions = ~over, policy(seen[-1])
            observation, reward, terminated, truncated, _ = self._env.step(actions)
            over = terminated | truncated
            rows.append((actions, reward, terminated, over, played))
            seen.append(observation.astype(np.float32))
        actions, rewards, terminated, ended, played = (np.stack(column) for column in zip(*rows, strict=True))
        return Rollout(np.stack(seen), actions, rewards.astype(np.float32), terminated, ended, played)

    def episodes(self, policy: Policy, steps: int, seed: int) -> NDArray[np.float64]:
        """Rewards [`steps`, N] of one episode a copy, zero after its end; stops when all have ended."""
        rewards = np.zeros((steps, self.copies))
        observation, going = self._reset(seed), np.ones(self.copies, dtype=bool)
        for t in range(steps):
            observation, reward, terminated, truncated, _ = self._env.step(policy(observation.astype(np.float32)))
            rewards[t] = np.where(going, reward, 0.0)
            going &= ~(terminated | truncated)
            if not going.any():
                break
        return rewards

    def scale(self, steps: int, seed: int) -> Scale:
        """Mean and standard deviation of what a policy that acts at random observes."""
        draws = np.random.default_rng(derive(seed, "random-policy"))
        rollout = self.play(lambda seen: draws.integers(self.actions, size=len(seen)), steps, seed)
        seen = rollout.observations[:-1][rollout.played].astype(np.float64)
        std = seen.std(axis=0)
        return Scale(seen.mean(axis=0), np.where(std > 0, std, 1.0))

    def close(self) -> None:
        self._env.close()

    def _reset(self, seed: int) -> Array:
        observation, _ = self._env.reset(seed=seed % 2**31)
        return np.asarray(observation, dtype=np.float32)


def _made(name: str, copies: int, limit: int | None) -> Any:
    settings: dict[str, Any] = {} if limit is None else {"max_episode_steps": limit}
    try:
        env = gymnasium.make_vec(name, num_envs=copies, **settings)
    except gymnasium.error.UnregisteredEnv as error:
        raise ConfigError(
            f"rl.environment: gymnasium knows no '{name}'.", remedy=nearest(name, gymnasium.registry)
        ) from error
    except (gymnasium.error.Error, TypeError) as error:
        raise ConfigError(f"rl.environment: gymnasium cannot make {name}: {error}", remedy=MISSING) from error
    if env.metadata.get("autoreset_mode") is not AutoresetMode.NEXT_STEP:
        raise ConfigError(
            f"rl.environment: {name} does not reset a copy in the step after an episode's end.", remedy=NEEDED
        )
    return env


def _sizes(env: Any, name: str) -> tuple[int, int]:
    seen, acts = env.single_observation_space, env.single_action_space
    if not (isinstance(seen, Box) and len(seen.shape) == 1 and isinstance(acts, Discrete) and acts.start == 0):
        raise ConfigError(
            f"rl.environment: {name} has observations {seen} and actions {acts}.",
            remedy=NEEDED,
        )
    return int(seen.shape[0]), int(acts.n)
