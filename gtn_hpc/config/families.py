"""The hidden layers of each family of learners: how many there are, and their sizes by default."""

from typing import Literal

Family = Literal["conv2-fc", "conv2-gap", "linear", "conv5", "conv6"]

FIXED: dict[Family, tuple[int, ...]] = {
    "conv2-fc": (64, 128, 256),
    "conv2-gap": (64, 128),
    "linear": (256, 128),
    "conv5": (64, 128, 128, 256, 256),
    "conv6": (64, 64, 128, 128, 256, 256),
}
"""Widths of the hidden layers of each family, as released."""

RANGES: dict[Family, tuple[tuple[int, int], ...]] = {
    "conv2-fc": ((32, 128), (64, 256), (64, 256)),
    "conv2-gap": ((32, 128), (64, 256)),
    "linear": ((64, 512), (64, 256)),
    "conv5": ((32, 96), (64, 192), (64, 192), (128, 384), (128, 384)),
    "conv6": ((32, 96), (32, 96), (64, 192), (64, 192), (128, 384), (128, 384)),
}
"""Ranges [low, high) from which widths are drawn; the paper's for conv2-fc, in proportion for the others."""
