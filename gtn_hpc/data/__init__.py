"""Image sets as uint8 tensors resident on the device: named sets, own files, seeded splits, augmentation."""

from gtn_hpc.data.augment import augmented
from gtn_hpc.data.describe import describe
from gtn_hpc.data.fetch import fetch
from gtn_hpc.data.image_set import ImageSet, Normalisation
from gtn_hpc.data.splits import Splits, load, require_augment

__all__ = ["ImageSet", "Normalisation", "Splits", "augmented", "describe", "fetch", "load", "require_augment"]
