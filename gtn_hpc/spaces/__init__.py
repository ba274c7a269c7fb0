"""Spaces of architectures: sampling, mutation, canonical form, size and cost, drawing. Imports no torch."""

from gtn_hpc.config.searching import ChainSpace, ConvSpace, NaoCellSpace, NasBench201Space
from gtn_hpc.config.searching import Space as SpaceSection
from gtn_hpc.core.errors import DataError
from gtn_hpc.core.records import ImageShape
from gtn_hpc.spaces.chain import Chains
from gtn_hpc.spaces.conv import ConvLearners
from gtn_hpc.spaces.nao_cell import NaoCells
from gtn_hpc.spaces.nasbench201 import NasBench201
from gtn_hpc.spaces.plan import Plan
from gtn_hpc.spaces.space import Space, Spec

__all__ = ["Plan", "Space", "Spec", "make_space"]

SMALLEST = 8
"""Least height and width of an image in pixels."""


def make_space(section: SpaceSection, image: ImageShape, classes: int) -> Space:
    """The space of a section of the configuration, for images of one shape.

    Raises:
        DataError: the images are smaller than 8x8 pixels.
    """
    if min(image.height, image.width) < SMALLEST:
        raise DataError(f"images of {image} are too small", remedy=f"Give at least {SMALLEST}x{SMALLEST} pixels.")
    match section:
        case ConvSpace():
            return ConvLearners(section, image, classes)
        case ChainSpace():
            return Chains(section, image, classes)
        case NaoCellSpace():
            return NaoCells(section, image, classes)
        case NasBench201Space():
            return NasBench201(section, image, classes)
