"""What every evaluation of a process shares: images, the curriculum and its inner optimiser, loaded once."""

from dataclasses import dataclass

import torch

from gtn_hpc.config import Config
from gtn_hpc.core.errors import DataError
from gtn_hpc.curriculum.file import read
from gtn_hpc.curriculum.fitting import fitted
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.data import Splits, load, require_augment
from gtn_hpc.inner.optimisers import InnerOptimiser, make_optimiser
from gtn_hpc.models.precision import PRECISIONS, use_precision
from gtn_hpc.training.setting import Setting
from gtn_hpc.training.steppers import Begin, make_stepper


@dataclass(frozen=True, eq=False)
class Room:
    """All on one device."""

    config: Config
    splits: Splits
    taught: Frozen
    optimiser: InnerOptimiser
    device: torch.device
    begin: Begin

    @property
    def dtype(self) -> torch.dtype:
        return PRECISIONS[self.config.run.precision].dtype

    @property
    def autocast(self) -> torch.dtype | None:
        return PRECISIONS[self.config.run.precision].autocast


def furnish(setting: Setting, device: torch.device) -> Room:
    """Loads images and curriculum to `device`, and sets this process's threads and arithmetic.

    Raises:
        DataError: the image set is missing, or the curriculum does not fit it or was taught on what judges here.
        StorageError: the curriculum file cannot be read.
        ConfigError: steps are asked for that no training comes to, or of the images what they do not have.
    """
    setting.require_steps()
    config, curriculum = setting.config, setting.curriculum
    torch.set_num_threads(config.run.threads)
    dtype = use_precision(config.run.precision).dtype
    splits = load(config.data, seed=config.run.seed, device=device, dtype=dtype)
    require_augment(config.final.recipe.augment, splits.shape, "final.recipe")
    file = read(curriculum, device, dtype)
    if file.digest != setting.digest:
        raise DataError(
            f"The curriculum {curriculum} is not the one that this search began with.",
            remedy="Bring the old file back, or start another run with the new one.",
        )
    frozen, begin = fitted(file, splits, config), make_stepper(config.search.fast, device)
    if frozen is not file.frozen and setting.foreign_units is None and file.description.data == splits.name:
        raise DataError(
            f"The curriculum {curriculum} states other units (mean, std) than those of the images of {splits.name} on "
            "which, by its configuration, it was taught.",
            remedy="Export it again, or teach anew where the images have changed; without its attribute config it "
            "counts as made elsewhere.",
        )
    return Room(config, splits, frozen, make_optimiser(setting.inner), device, begin)
