"""How good is a teacher of policies: never-seen policies that it taught, beside the same ones untaught."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gtn_hpc.config import Config
from gtn_hpc.config.teaching import Reinforcement
from gtn_hpc.core.records import ImageShape
from gtn_hpc.core.streams import derive, numpy_rng, torch_generator
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.environments import Environment
from gtn_hpc.meta.policy import Player, Units
from gtn_hpc.meta.pupil import Tally, Tell, nobody
from gtn_hpc.meta.replica import fresh_learner
from gtn_hpc.meta.returns import Returns, Sums
from gtn_hpc.training.steppers import Plain


@dataclass(frozen=True, eq=False)
class Examination:
    """Fresh policies and the episodes that they play: policy n plays the same ones whoever taught it."""

    config: Config
    rl: Reinforcement
    units: Units

    @cached_property
    def environment(self) -> Environment:
        return Environment(self.rl.environment, self.rl.episodes, max(self.rl.horizons))

    def returns(self, frozen: Frozen | None, policies: int, tally: Tally | None = None) -> Sums:
        """Of `policies` policies, taught by `frozen` or not at all."""
        return np.stack([self._returns(frozen, index, tally) for index in range(policies)])

    def arms(self, frozen: Frozen, untrained: Frozen, policies: int, tell: Tell = nobody) -> Returns:
        """Of the same policies, by arm; costs three rollouts a policy. `tell` hears of the rollouts done."""
        taught_by = {"taught": frozen, "untaught": None, "untrained": untrained}
        tally = Tally(len(taught_by) * policies, tell)
        found = {arm: self.returns(teacher, policies, tally) for arm, teacher in taught_by.items()}
        return Returns(tuple(sorted(self.rl.horizons)), found)

    def _returns(self, frozen: Frozen | None, index: int, tally: Tally | None) -> Sums:
        """[horizons, episodes]."""
        seed, player = self.config.run.seed, self._player(frozen, index)
        drawn = self.rl.choice == "drawn"
        policy = player.drawing(numpy_rng(seed, "evaluate/actions", index)) if drawn else player.choosing()
        rewards = self.environment.episodes(policy, max(self.rl.horizons), derive(seed, "evaluate/environment", index))
        if tally is not None:
            tally.add(1)
        return np.stack([rewards[:horizon].sum(axis=0) for horizon in sorted(self.rl.horizons)])

    def _player(self, frozen: Frozen | None, index: int) -> Player:
        environment, device = self.environment, self.units.mean.device
        shape = ImageShape(environment.numbers, 1, 1)
        learner = fresh_learner(self.config, shape, environment.actions, "evaluate", index, device=device)
        if frozen is None:
            return Player(learner, learner.initial_state(), self.units)
        episode = frozen.episode(torch_generator(self.config.run.seed, "evaluate/order", index))
        stepper = Plain(learner, learner.initial_state())
        for t in range(episode.steps):
            stepper.step(t, episode.batch(t), episode.hyper(t))
        return Player(learner, stepper.state(), self.units)
