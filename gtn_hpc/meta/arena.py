"""An environment as the real thing: learners play it, and an actor-critic loss of what happened judges them."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from gtn_hpc.config import Config
from gtn_hpc.config.teaching import Reinforcement
from gtn_hpc.core.errors import ConfigError
from gtn_hpc.core.records import Batch, Hyper, ImageShape
from gtn_hpc.core.streams import derive, numpy_rng, torch_generator
from gtn_hpc.curriculum import file
from gtn_hpc.curriculum.arms import as_long_as, make_curriculum
from gtn_hpc.curriculum.base import Curriculum
from gtn_hpc.curriculum.frozen import Frozen, freeze
from gtn_hpc.environments import Environment, Scale
from gtn_hpc.inner.engine import Task
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.inner.step import LearnerState
from gtn_hpc.meta.actor_critic import Criticised, criticise
from gtn_hpc.meta.events import Played
from gtn_hpc.meta.examination import Examination
from gtn_hpc.meta.policy import Player, Units
from gtn_hpc.meta.pupil import Tell, nobody
from gtn_hpc.meta.replica import judged_after, stream
from gtn_hpc.meta.returns import Returns, export, read_returns
from gtn_hpc.meta.room import Room
from gtn_hpc.models.critic import Critic
from gtn_hpc.models.layers import initialise
from gtn_hpc.models.precision import use_precision
from gtn_hpc.stats import sd
from gtn_hpc.training.steppers import Plain

CRITIC = "critic"
"""Where the critic hangs in the teacher: what updates, saves and sends the one then does so with the other."""

SCALE_STEPS = 2000
"""Steps of the random policy that the units of observations are taken from."""


@dataclass(frozen=True, eq=False)
class Arena(Room[Returns]):
    """The environment, the teacher with the critic in it, and the units of observations."""

    rl: Reinforcement
    environment: Environment
    units: Units
    critic: Critic

    @property
    def shape(self) -> ImageShape:
        return ImageShape(self.environment.numbers, 1, 1)

    @property
    def classes(self) -> int:
        return self.environment.actions

    def judged(self, task: Task, iteration: int, replica: int, generation: int) -> Task:
        """With rollouts of the learner after the steps that judge it; costs its training once more, without graphs.

        The rollouts are drawn before the engine begins, so that they are constants to every engine.
        """
        at = (iteration, replica)
        real: dict[int, Batch] = {}
        beside: Tensors = {}
        for steps, state in trained(task, self.config.inner.intermediate_every).items():
            found = self._criticised(Player(task.learner, state, self.units), generation, *at, steps)
            real[steps] = found.batch
            named = {f"{CRITIC}.{name}": value for name, value in found.gradient.items()}
            beside = {name: beside[name] + value if name in beside else value for name, value in named.items()}
        return replace(task, real=real, beside=beside)

    def progress(self, frozen: Frozen, done: int) -> Played:
        found = self.examination.returns(frozen, self.config.evaluate.during)[:, -1].mean(axis=1)
        return Played(done, float(found.mean()), sd(found), len(found))

    def evaluate(self, frozen: Frozen, tell: Tell = nobody) -> Returns:
        return self.examination.arms(frozen, self._untrained(frozen), self.config.evaluate.learners, tell)

    def export(self, path: Path, frozen: Frozen, found: Returns | None, dtype: str = "float32") -> None:
        description = file.Description.of(self.config, self.rl.environment, self.units.mean, self.units.std)
        export(path, self.config, description, frozen, found, dtype)

    def read(self, path: Path) -> Returns | None:
        return read_returns(path)

    @cached_property
    def examination(self) -> Examination:
        return Examination(self.config, self.rl, self.units)

    def _criticised(self, player: Player, generation: int, *at: int) -> Criticised:
        seed = self.config.run.seed
        policy = player.drawing(numpy_rng(seed, stream("actions", generation), *at))
        steps = self.config.meta.batch // self.rl.copies
        rollout = self.environment.play(policy, steps, derive(seed, stream("environment", generation), *at))
        seen = self.units(rollout.observations)
        return criticise(self.rl, rollout, seen, player.logits(seen[:-1].flatten(0, 1)), self.critic)

    def _untrained(self, frozen: Frozen) -> Frozen:
        """As many batches of a teacher that was never taught to teach, at the rates of `frozen`."""
        config = self.config.model_copy(update={"teacher": as_long_as(frozen, self.config.teacher)})
        teacher = _teacher(config, self.environment).to(self.dtype)
        initialise(teacher, torch_generator(self.config.run.seed, "untrained"))
        batches = freeze(teacher.to(self.device), torch_generator(self.config.run.seed, "untrained/order"))
        return Frozen(batches.x, batches.y, *frozen.schedule.table(), frozen.order, batches.cycle)


def enter_arena(config: Config, rl: Reinforcement, device: torch.device) -> Arena:
    """Makes the environment, measures its units, and draws the initial teacher and critic from the run's seed.

    Raises:
        ConfigError: the environment does not exist or does not fit.
    """
    dtype, seed = use_precision(config.run.precision).dtype, config.run.seed
    environment = Environment(rl.environment, rl.copies, rl.limit)
    teacher, critic = _teacher(config, environment), Critic(environment.numbers, rl.critic)
    teacher.add_module(CRITIC, critic)
    initialise(teacher.to(dtype), torch_generator(seed, "teacher"))
    teacher.to(device)
    units = Units.of(_scale(rl, environment, derive(seed, "scale")), dtype, device)
    return Arena(config, teacher, device, rl, environment, units, critic)


def _teacher(config: Config, environment: Environment) -> Curriculum:
    return make_curriculum(config.teacher, config.inner, ImageShape(environment.numbers, 1, 1), environment.actions)


def _scale(rl: Reinforcement, environment: Environment, seed: int) -> Scale:
    if rl.scale is None:
        return environment.scale(SCALE_STEPS, seed)
    if len(rl.scale) != environment.numbers:
        raise ConfigError(
            f"rl.scale has {len(rl.scale)} units, but an observation of {rl.environment} has {environment.numbers} "
            "numbers.",
            remedy="Give a unit for each number, or leave rl.scale empty.",
        )
    return Scale(np.zeros(environment.numbers), np.array(rl.scale))


def trained(task: Task, every: int) -> dict[int, LearnerState]:
    """The learner's state after each number of steps that it is judged after."""
    stepper, states = Plain(task.learner, task.initial), {}
    own = next(iter(task.initial.params.values()))
    moments = judged_after(task.episode.steps, every)
    for t in range(task.episode.steps):
        with torch.no_grad():
            batch, hyper = task.episode.batch(t), task.episode.hyper(t)
        stepper.step(t, Batch(*(v.to(own) for v in batch)), Hyper(*(v.to(own) for v in hyper)))
        if t + 1 in moments:
            states[t + 1] = stepper.state()
    return states
