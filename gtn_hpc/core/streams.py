"""Named random streams: every random number is a function of (seed, stream name, indices) and of nothing else.

So the draw of one replica does not depend on the others, on the number of processes or on what ran before.
"""

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


BOOTSTRAP = "search/bootstrap"
"""The stream that intervals of correlations with the truth are resampled by, wherever they are shown."""


def derive(seed: int, name: str, *indices: int | str) -> int:
    """A 63-bit seed for the stream `name` at `indices`; independent streams for different arguments."""
    text = json.dumps([int(seed), name, *(index if isinstance(index, str) else int(index) for index in indices)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_rng(seed: int, name: str, *indices: int | str) -> np.random.Generator:
    """A NumPy generator of the stream; its draws are equal everywhere for one NumPy release."""
    return np.random.Generator(np.random.PCG64(derive(seed, name, *indices)))


def torch_generator(
    seed: int, name: str, *indices: int | str, device: "torch.device | str" = "cpu"
) -> "torch.Generator":
    """A torch generator of the stream; on a CPU its draws are equal everywhere for one torch release."""
    import torch

    return torch.Generator(device=device).manual_seed(derive(seed, name, *indices))
