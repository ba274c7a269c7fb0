"""The vector-Jacobian product, by autograd.

torch.autograd.grad takes cotangents too, and imports sympy at the first: most of a second in every process.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def pullback(outputs: Sequence[Tensor], inputs: Sequence[Tensor], cotangents: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradient of sum(<output, cotangent>) for each input, None for one that the outputs do not depend on.

    The cotangents are constants: nothing can be derived through them. Frees the graph.
    """
    with torch.enable_grad():
        seeded = _Seeded.apply(cotangents, *outputs)
    return list(torch.autograd.grad(seeded, list(inputs), allow_unused=True))


class _Seeded(torch.autograd.Function):
    """A number whose backward pass hands each output its cotangent, as they are."""

    @staticmethod
    def forward(ctx: Any, cotangents: Sequence[Tensor], *outputs: Tensor) -> Tensor:
        ctx.cotangents = cotangents
        return outputs[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:
        return None, *ctx.cotangents
