"""What `run.precision` means on a device."""

from typing import NamedTuple

import torch
from torch import Tensor


class Precision(NamedTuple):
    """The type of parameters, that of forward passes where it is another, and whether products may round to TF32."""

    dtype: torch.dtype
    autocast: torch.dtype | None = None
    tf32: bool = False


PRECISIONS = {
    "float32": Precision(torch.float32),
    "float64": Precision(torch.float64),
    "tf32": Precision(torch.float32, tf32=True),
    "bf16": Precision(torch.float32, torch.bfloat16),
}


def use_precision(name: str) -> Precision:
    """Sets this process's flags for `run.precision`, and that cuDNN repeats its results bit for bit.

    TF32 keeps 10 bits of the factors of a product, on GPUs that have it; elsewhere nothing changes. By default torch
    rounds convolutions so and matrix products not; here `float32` means float32 for both.
    """
    found = PRECISIONS[name]
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = found.tf32
    return found


def autocast(device: torch.device, dtype: torch.dtype | None) -> torch.autocast:
    """Within, products on `device` are made in `dtype`; in the type of their factors where it is None."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def widened(logits: Tensor, dtype: torch.dtype | None) -> Tensor:
    """`logits` of a pass under `autocast(..., dtype)` in float32: a loss or a choice made of 8 bits is coarse."""
    return logits if dtype is None else logits.float()
