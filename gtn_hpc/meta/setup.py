"""What meta-training needs, built from the configuration: the room with its teacher, fresh learners, tasks."""

import torch

from gtn_hpc.config import Config
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.inner.engine import Task
from gtn_hpc.meta.classroom import enter_classroom
from gtn_hpc.meta.replica import fresh_learner, stream
from gtn_hpc.meta.room import AnyRoom


def prepare(config: Config, device: torch.device) -> AnyRoom:
    """The room of the configuration with its initial teacher, drawn from the run's seed."""
    if config.rl is None:
        return enter_classroom(config, device)
    from gtn_hpc.meta.arena import enter_arena

    return enter_arena(config, config.rl, device)


def make_task(room: AnyRoom, iteration: int, replica: int, generation: int = 0) -> Task:
    """Replica `replica` of meta-iteration `iteration`: a new learner, an episode, and real batches to judge by."""
    config, at = room.config, (iteration, replica)
    learner = fresh_learner(config, room.shape, room.classes, stream("learner", generation), *at, device=room.device)
    order = torch_generator(config.run.seed, stream("episode", generation), *at)
    episode = room.teacher.episode(order)
    return room.judged(Task(learner, learner.initial_state(), episode, {}), *at, generation)
