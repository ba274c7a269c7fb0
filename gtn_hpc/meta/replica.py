"""What a replica draws: a fresh learner, a length, and the moments at which it is judged."""

from collections.abc import Sequence

import torch
from torch import nn

from gtn_hpc.config import Config
from gtn_hpc.config.teaching import Learner as LearnerSection
from gtn_hpc.core.records import ImageShape
from gtn_hpc.core.streams import derive, numpy_rng, torch_generator
from gtn_hpc.inner.optimisers import make_optimiser
from gtn_hpc.inner.step import Learner
from gtn_hpc.models.layers import initialise
from gtn_hpc.models.learners import LearnerSpec, build_learner, draw_learner
from gtn_hpc.models.precision import PRECISIONS


def fresh_learner(
    config: Config, shape: ImageShape, classes: int, stream: str, *indices: int, device: torch.device
) -> Learner:
    """A learner of the mixture with new widths and new initial parameters, a function of seed, stream and indices."""
    seed, spec = config.run.seed, drawn(config, stream, *indices)
    precision = PRECISIONS[config.run.precision]
    module: nn.Module = build_learner(spec, shape, classes).to(precision.dtype)
    initialise(module, torch_generator(seed, f"{stream}/parameters", *indices))
    return Learner(
        module.to(device), make_optimiser(config.inner), derive(seed, f"{stream}/dropout", *indices), precision.autocast
    )


def drawn(config: Config, stream: str, *indices: int) -> LearnerSpec:
    """Family and widths of that learner."""
    sections: Sequence[LearnerSection] = config.learners
    return draw_learner(sections, numpy_rng(config.run.seed, f"{stream}/widths", *indices))


def stream(name: str, generation: int) -> str:
    """The stream's name; a fresh one for each time that training went back to a checkpoint because it diverged."""
    return name if generation == 0 else f"{name}/generation-{generation}"


def judged_after(steps: int, every: int) -> list[int]:
    """Numbers of inner steps after which a real loss is taken: each multiple of `every`, and the end."""
    return sorted({*(range(every, steps, every) if every else ()), steps})
