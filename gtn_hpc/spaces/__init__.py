"""Spaces of architectures: sampling, mutation, canonical form, size and cost, drawing. Imports no torch."""

from gtn_hpc.config.searching import ChainSpace, ConvSpace, NaoCellSpace, NasBench201Space
from gtn_hpc.config.searching import Space as SpaceSection
from gtn_hpc.core.errors import DataError
from gtn_hpc.core.records import SMALLEST_SIDE, ImageShape
from gtn_hpc.spaces.chain import Chains
from gtn_hpc.spaces.conv import ConvLearners
from gtn_hpc.spaces.nao_cell import NaoCells
from gtn_hpc.spaces.nasbench201 import NasBench201
from gtn_hpc.spaces.plan import Plan
from gtn_hpc.spaces.space import Space, Spec

__all__ = ["Plan", "Space", "Spec", "make_space"]


def make_space(section: SpaceSection, image: ImageShape, classes: int) -> Space:
    """The space of a section of the configuration, for images of one shape.

    Raises:
        DataError: the images are smaller than 8x8 pixels.
    """
    if min(image.height, image.width) < SMALLEST_SIDE:
        remedy = f"Give at least {SMALLEST_SIDE}x{SMALLEST_SIDE} pixels."
        raise DataError(f"images of {image} are too small", remedy=remedy)
    match section:
        case ConvSpace():
            return ConvLearners(section, image, classes)
        case ChainSpace():
            return Chains(section, image, classes)
        case NaoCellSpace():
            return NaoCells(section, image, classes)
        case NasBench201Space():
            return NasBench201(section, image, classes)
