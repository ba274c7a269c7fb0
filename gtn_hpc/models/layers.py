"""Layers whose initialisation is drawn from a given generator, with optional weight norm.

Weight norm (Salimans and Kingma 2016) writes a weight as w = g v / |v|, one g per output unit; it is what makes
meta-training stable (paper section 3.2).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.1
"""Negative slope of every leaky ReLU."""


class Weighted(nn.Module):
    """A weight [out, in, ...] with Kaiming initialisation, by option as direction `v` and norm `g`, and a bias.

    `scale` multiplies the initial weights.
    """

    def __init__(self, shape: tuple[int, ...], *, bias: bool, weight_norm: bool, scale: float = 1.0) -> None:
        super().__init__()
        self.initial_scale = scale
        self.weight = nn.Parameter(torch.empty(shape))
        self.g = nn.Parameter(torch.empty(shape[0])) if weight_norm else None
        self.bias = nn.Parameter(torch.empty(shape[0])) if bias else None

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        fan_in = self.weight[0].numel()
        deviation = self.initial_scale * (2.0 / ((1 + SLOPE**2) * fan_in)) ** 0.5
        self.weight.normal_(0.0, deviation, generator=generator)
        if self.g is not None:
            self.g.copy_(self.weight.flatten(1).norm(dim=1))
        if self.bias is not None:
            self.bias.zero_()

    def scale(self) -> Tensor | None:
        """g / |v| [out], or None without weight norm."""
        return None if self.g is None else self.g / torch.linalg.vector_norm(self.weight.flatten(1), dim=1)

    def effective_weight(self) -> Tensor:
        scale = self.scale()
        return self.weight if scale is None else self.weight * scale.reshape(-1, *[1] * (self.weight.dim() - 1))


class Linear(Weighted):
    """[B, in] -> [B, out]."""

    def __init__(
        self, inputs: int, outputs: int, *, bias: bool = True, weight_norm: bool = True, scale: float = 1.0
    ) -> None:
        super().__init__((outputs, inputs), bias=bias, weight_norm=weight_norm, scale=scale)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.scale()
        if scale is None:
            return F.linear(x, self.weight, self.bias)
        # scaled after the product: the outputs are far fewer than the weights
        y = F.linear(x, self.weight) * scale
        return y if self.bias is None else y + self.bias


class Conv2d(Weighted):
    """[B, in, H, W] -> [B, out, H', W'], "same" zero padding for odd kernels by default, ceil(H / stride) rows."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | None = None,
        bias: bool = True,
        weight_norm: bool = True,
    ) -> None:
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        super().__init__((outputs, inputs, *kernel), bias=bias, weight_norm=weight_norm)
        self.stride = stride
        self.padding = (kernel[0] // 2, kernel[1] // 2) if padding is None else padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.effective_weight(), self.bias, stride=self.stride, padding=self.padding)


class LeakyReLU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, SLOPE)


def initialise(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Draws every parameter of `module` from `generator`, layer by layer in order of registration; returns it."""
    for layer in module.modules():
        reset: Callable[[torch.Generator], None] | None = getattr(layer, "reset", None)
        if reset is not None:
            reset(generator)
    return module
