"""Keys: what a score is a function of."""

from collections.abc import Mapping
from typing import Any

from gtn_hpc.core.records import digest

LENGTH = 32
"""Hex digits of a key: 128 bits, so a million keys collide with probability 1e-27."""


def key(architecture: str, curriculum: str, settings: Mapping[str, Any], replica: int, fidelity: int) -> str:
    """Names one value: digest of the canonical architecture, digest of the curriculum, what else decides the number
    (seed, threads, precision, ...), the replica and the fidelity in inner steps. Stores of one key must agree."""
    return digest([architecture, curriculum, dict(settings), replica, fidelity])[:LENGTH]


def init_key(architecture: str, curriculum: str, settings: Mapping[str, Any], replica: int) -> str:
    """The key without its fidelity: networks are initialised from it, so a promoted learner equals a straight run."""
    return digest([architecture, curriculum, dict(settings), replica])[:LENGTH]
