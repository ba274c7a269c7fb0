"""Curricula that a teacher must do better than: a random real subset, and a teacher before its meta-training."""

import torch
from torch.nn import functional as F

from gtn_hpc.core.streams import torch_generator
from gtn_hpc.curriculum.arms import make_curriculum
from gtn_hpc.curriculum.frozen import Frozen, freeze
from gtn_hpc.models.layers import initialise
from gtn_hpc.training.request import Source
from gtn_hpc.training.room import Room


def control(source: Source, room: Room) -> Frozen:
    """What stands in the curriculum's place for `source`, a function of the run's seed; cost: one pass."""
    return _untrained(room) if source == "untrained" else _real_subset(room)


@torch.no_grad()
def _real_subset(room: Room) -> Frozen:
    """As many different real training images as the curriculum holds, with its rates, momenta and order.

    Their labels are their own, so a batch is balanced only as the image set is.
    """
    taught = room.taught
    chosen = room.splits.train.sample(taught.steps * taught.batch, torch_generator(room.config.run.seed, "real-subset"))
    if len(chosen.y) < taught.steps * taught.batch:
        again = torch.arange(taught.steps * taught.batch, device=chosen.y.device) % len(chosen.y)
        chosen = type(chosen)(chosen.x[again], chosen.y[again])
    y = F.one_hot(chosen.y, room.splits.classes).to(taught.y.dtype)
    lr, momentum = taught.schedule.table()
    return Frozen(chosen.x.reshape(taught.x.shape), y.reshape(taught.y.shape), lr, momentum, taught.order)


@torch.no_grad()
def _untrained(room: Room) -> Frozen:
    """What the teacher of the configuration shows at its random initialisation, as long as the curriculum in use."""
    config, taught = room.config, room.taught
    section = config.teacher.curriculum
    arm = "full" if section.arm == "real_data" else section.arm
    resized = section.model_copy(update={"steps": taught.steps, "batch": taught.batch, "arm": arm})
    teacher = config.teacher.model_copy(update={"curriculum": resized})
    fresh = make_curriculum(teacher, config.inner, room.splits.shape, room.splits.classes)
    initialise(fresh.to(room.dtype), torch_generator(config.run.seed, "untrained"))
    return freeze(fresh.to(room.device), torch_generator(config.run.seed, "untrained/order"))
