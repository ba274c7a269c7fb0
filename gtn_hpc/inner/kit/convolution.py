"""Convolutions in the kit: by the library's kernels, or as matrix products where those are slow."""

from abc import ABC
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gtn_hpc.inner.kit.layer import Back, KitLayer, Needs, Pull
from gtn_hpc.inner.kit.weighted import Operands, WeightedKit
from gtn_hpc.inner.optimisers import Tensors

aten = torch.ops.aten

FEW = 4
"""Input channels up to which kernels are several times slower than a matrix product, on a CPU."""

SMALL = 2**19
"""Values of all windows, on either way, up to which calling a kernel costs more than its work, on a CPU."""


class Chosen(NamedTuple):
    """How the convolution of a step is computed, and what that way saved."""

    way: WeightedKit
    saved: Any


@dataclass(frozen=True)
class Kernels(WeightedKit):
    stride: tuple[int, int]
    padding: tuple[int, int]

    def product(self, x: Tensor, w: Tensor) -> Tensor:
        w = w.contiguous(memory_format=torch.channels_last)
        return F.conv2d(x, w, None, self.stride, self.padding)

    def product2(self, x: Tensor, w: Tensor, x2: Tensor, w2: Tensor) -> Tensor:
        return self.product(torch.cat([x, x2], 1), torch.cat([w, w2], 1))

    def down(self, dy: Tensor, saved: Operands, w: Tensor) -> Tensor:
        return self._backward(dy, saved.x, w, [True, False, False])[0]

    def down2(self, dy: Tensor, saved: Operands, w: Tensor, dy2: Tensor, w2: Tensor) -> Tensor:
        return self.down(torch.cat([dy, dy2], 1), saved, torch.cat([w, w2]))

    def outer(self, dy: Tensor, x: Tensor, w: Tensor) -> Tensor:
        return self._backward(dy, x, w, [False, True, False])[1]

    def outer2(self, dy: Tensor, x: Tensor, w: Tensor, dy2: Tensor, x2: Tensor) -> Tensor:
        return self.outer(torch.cat([dy, dy2]), torch.cat([x, x2]), w)

    def _backward(self, dy: Tensor, x: Tensor, w: Tensor, mask: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
        stride, padding = list(self.stride), list(self.padding)
        return aten.convolution_backward(dy, x, w, None, stride, padding, [1, 1], False, [0, 0], 1, mask)


@dataclass(frozen=True)
class MatrixProduct(WeightedKit, ABC):
    """A product with the windows of the input, [B, H', W', kh kw, C], laid out once a step."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    def product(self, x: Tensor, w: Tensor) -> Tensor:
        y = _matrix(x) @ self.matrix(w).t()
        return y.reshape(*x.shape[:3], -1).permute(0, 3, 1, 2)

    def product2(self, x: Tensor, w: Tensor, x2: Tensor, w2: Tensor) -> Tensor:
        y = torch.addmm(_matrix(x) @ self.matrix(w).t(), _matrix(x2), self.matrix(w2).t())
        return y.reshape(*x.shape[:3], -1).permute(0, 3, 1, 2)

    def outer(self, dy: Tensor, x: Tensor, w: Tensor) -> Tensor:
        return self._of_matrix(rows(dy).t() @ _matrix(x), w)

    def outer2(self, dy: Tensor, x: Tensor, w: Tensor, dy2: Tensor, x2: Tensor) -> Tensor:
        return self._of_matrix(torch.addmm(rows(dy).t() @ _matrix(x), rows(dy2).t(), _matrix(x2)), w)

    def matrix(self, w: Tensor) -> Tensor:
        """[O, C, kh, kw] -> [O, kh kw C]."""
        return w.permute(0, 2, 3, 1).flatten(1)

    def _of_matrix(self, dw: Tensor, w: Tensor) -> Tensor:
        return dw.reshape(w.shape[0], *self.kernel, w.shape[1]).permute(0, 3, 1, 2)


class FewChannels(MatrixProduct):
    """For images: windows are gathered by concatenation, and their cotangents added up by slices."""

    def operand(self, x: Tensor) -> Tensor:
        (top, left), (down, right), (high, wide) = self.padding, self.stride, self.kernel
        x = F.pad(x.permute(0, 2, 3, 1), (0, 0, left, left, top, top))
        size = (x.shape[1] - high) // down + 1, (x.shape[2] - wide) // right + 1
        return torch.cat([x[window] for window in self._windows(*size)], 3).unflatten(3, (high * wide, -1))

    def down(self, dy: Tensor, saved: Operands, w: Tensor) -> Tensor:
        return self._add_up(rows(dy) @ self.matrix(w), saved)

    def down2(self, dy: Tensor, saved: Operands, w: Tensor, dy2: Tensor, w2: Tensor) -> Tensor:
        return self._add_up(torch.addmm(rows(dy) @ self.matrix(w), rows(dy2), self.matrix(w2)), saved)

    def _windows(self, rows: int, columns: int) -> list[tuple[slice, slice, slice]]:
        (down, right), (high, wide) = self.stride, self.kernel
        return [
            (slice(None), slice(i, i + down * (rows - 1) + 1, down), slice(j, j + right * (columns - 1) + 1, right))
            for i in range(high)
            for j in range(wide)
        ]

    def _add_up(self, windows: Tensor, saved: Operands) -> Tensor:
        """The transpose of `operand`."""
        parts = windows.reshape(saved.x.shape)
        (_, channels, high, wide), (top, left) = saved.shape, self.padding
        image = windows.new_zeros(len(parts), high + 2 * top, wide + 2 * left, channels)
        for number, window in enumerate(self._windows(*parts.shape[1:3])):
            image[window] += parts[:, :, :, number]
        return image[:, top : top + high, left : left + wide].permute(0, 3, 1, 2)


class Small(MatrixProduct):
    """For small maps and stride one: windows are a strided view, and the way down is a convolution too."""

    def operand(self, x: Tensor) -> Tensor:
        return self._windows(x, *self.padding)

    def down(self, dy: Tensor, saved: Operands, w: Tensor) -> Tensor:  # noqa: ARG002
        (high, wide), (top, left) = self.kernel, self.padding
        windows = self._windows(dy, high - 1 - top, wide - 1 - left)
        y = _matrix(windows) @ w.flip(2, 3).permute(2, 3, 0, 1).flatten(0, 2)
        return y.reshape(*windows.shape[:3], -1).permute(0, 3, 1, 2)

    def down2(self, dy: Tensor, saved: Operands, w: Tensor, dy2: Tensor, w2: Tensor) -> Tensor:
        return self.down(torch.cat([dy, dy2], 1), saved, torch.cat([w, w2]))

    def _windows(self, x: Tensor, top: int, left: int) -> Tensor:
        (high, wide), x = self.kernel, x.permute(0, 2, 3, 1)
        x = F.pad(x, (0, 0, left, left, top, top)).contiguous()
        batch, height, width, channels = x.shape
        size = (batch, height - high + 1, width - wide + 1, high, wide, channels)
        image, row, column, channel = x.stride()
        windows = x.as_strided(size, (image, row, column, row, column, channel))
        return windows.reshape(*size[:3], high * wide, channels)


class Convolution(KitLayer):
    """Takes the way that the size of the input recommends; on a GPU the library's."""

    def __init__(self, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]) -> None:
        self.kernels = Kernels(stride, padding)
        self.few, self.small = FewChannels(kernel, stride, padding), Small(kernel, stride, padding)

    def forward(self, p: Tensors, x: Tensor) -> tuple[Tensor, Any]:
        way = self._way(x, p["weight"].shape[0])
        y, saved = way.forward(p, x)
        return y, Chosen(way, saved)

    def backward(self, p: Tensors, saved: Chosen, dy: Tensor, *, needs_x: bool) -> Back:
        return saved.way.backward(p, saved.saved, dy, needs_x=needs_x)

    def tangent(self, p: Tensors, u: Tensors, saved: Chosen, x_dot: Tensor | None) -> tuple[Tensor | None, Any]:
        return saved.way.tangent(p, u, saved.saved, x_dot)

    def pull(self, p: Tensors, u: Tensors, saved: Chosen, dots: Any, dy: Tensor, dy_dot: Tensor, needs: Needs) -> Pull:
        return saved.way.pull(p, u, saved.saved, dots, dy, dy_dot, needs)

    def _way(self, x: Tensor, outputs: int) -> WeightedKit:
        if x.is_cuda:
            return self.kernels
        (high, wide), channels = self.few.kernel, x.shape[1]
        windows = x.numel() // channels * max(channels, outputs) * high * wide
        if self.few.stride == (1, 1) and windows <= SMALL:
            return self.small
        return self.few if channels <= FEW else self.kernels


def rows(dy: Tensor) -> Tensor:
    """[B, O, H, W] channels-last as [B H W, O]."""
    return dy.permute(0, 2, 3, 1).flatten(0, 2)


def _matrix(windows: Tensor) -> Tensor:
    """[B H' W', kh kw C]."""
    return windows.reshape(-1, windows.shape[3] * windows.shape[4])
