"""Curricula that a teacher must do better than: a random real subset, and what a random teacher shows."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gtn_hpc.core.streams import torch_generator
from gtn_hpc.curriculum.arms import as_long_as, make_curriculum
from gtn_hpc.curriculum.frozen import Frozen, freeze
from gtn_hpc.models.layers import initialise
from gtn_hpc.training.request import Source
from gtn_hpc.training.room import Room


def control(source: Source, room: Room) -> Frozen:
    """What stands in the curriculum's place for `source`, a function of the run's seed; cost: one pass."""
    return _untrained(room) if source == "untrained" else _real_subset(room)


@torch.no_grad()
def _real_subset(room: Room) -> Frozen:
    """As many different real training images as the curriculum holds, shown as often and when its own are.

    Rates, momenta and order are the curriculum's, labels the images' own: a batch is balanced only as their set is.
    """
    taught, train = room.taught, room.splits.train
    place = _places(taught)
    chosen = train.sample(int(place.max()) + 1, torch_generator(room.config.run.seed, "real-subset"))
    shown = place.to(chosen.y.device) % len(chosen.y)
    y = F.one_hot(chosen.y[shown], room.splits.classes).to(taught.y.dtype)
    x, y = chosen.x[shown].reshape(taught.x.shape), y.reshape(taught.y.shape)
    return Frozen(x, y, *taught.schedule.table(), taught.order, taught.cycle)


def _places(taught: Frozen) -> Tensor:
    """Numbers [T x B] of the images as they first appear; one that is shown again has the number it had."""
    numbers: dict[bytes, int] = {}
    images = taught.x.flatten(0, 1).cpu().numpy()
    return torch.tensor([numbers.setdefault(image.tobytes(), len(numbers)) for image in images])


@torch.no_grad()
def _untrained(room: Room) -> Frozen:
    """What the teacher of the configuration shows at its random initialisation, as long as the curriculum in use.

    A start from real images is not made: it would need the meta-training's own, and it teaches by itself.
    """
    config, teacher = room.config, as_long_as(room.taught, room.config.teacher)
    if teacher.curriculum.arm == "real_data":
        own = teacher.curriculum.model_copy(update={"arm": "full"})
        teacher = teacher.model_copy(update={"curriculum": own})
    fresh = make_curriculum(teacher, config.inner, room.splits.shape, room.splits.classes)
    initialise(fresh.to(room.dtype), torch_generator(config.run.seed, "untrained"))
    return freeze(fresh.to(room.device), torch_generator(config.run.seed, "untrained/order"))
