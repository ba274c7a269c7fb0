"""Linear layers and convolutions in the kit: y = w * x + b, bilinear in w and x.

With x_dot and w_dot, y_dot = w * x_dot + w_dot * x; going down, dx_dot = w' dy_dot + w_dot' dy and
dw_dot = dy_dot x + dy x_dot. Such sums of two products are made as one product of concatenated operands.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gtn_hpc.inner.kit.layer import Back, KitLayer, Needs, Pair, Pull
from gtn_hpc.inner.kit.weight_norm import Weight, backward, pull, weight_of, with_tangent
from gtn_hpc.inner.optimisers import Tensors

aten = torch.ops.aten


class Operands(NamedTuple):
    """The input as the products take it, the weight, and the input's shape."""

    x: Tensor
    weight: Weight
    shape: torch.Size


class WeightedDots(NamedTuple):
    x: Tensor | None
    weight: Weight


class WeightedKit(KitLayer):
    """The five products of a bilinear layer; subclasses say how each is computed."""

    @abstractmethod
    def product(self, x: Tensor, w: Tensor) -> Tensor: ...

    @abstractmethod
    def product2(self, x: Tensor, w: Tensor, x2: Tensor, w2: Tensor) -> Tensor:
        """w * x + w2 * x2."""

    @abstractmethod
    def down(self, dy: Tensor, saved: Operands, w: Tensor) -> Tensor:
        """w' dy, of the shape of the input."""

    @abstractmethod
    def down2(self, dy: Tensor, saved: Operands, w: Tensor, dy2: Tensor, w2: Tensor) -> Tensor:
        """w' dy + w2' dy2."""

    @abstractmethod
    def outer(self, dy: Tensor, x: Tensor, w: Tensor) -> Tensor:
        """dy x, of the form of w."""

    @abstractmethod
    def outer2(self, dy: Tensor, x: Tensor, w: Tensor, dy2: Tensor, x2: Tensor) -> Tensor:
        """dy x + dy2 x2."""

    def operand(self, x: Tensor) -> Tensor:
        """The form of x that the products take."""
        return x

    def weight(self, p: Tensors) -> Weight:
        return weight_of(p)

    def forward(self, p: Tensors, x: Tensor) -> tuple[Tensor, Any]:
        saved = Operands(self.operand(x), self.weight(p), x.shape)
        y = self.product(saved.x, saved.weight.w)
        return (y + _column(p["bias"], y) if "bias" in p else y), saved

    def backward(self, p: Tensors, saved: Operands, dy: Tensor, *, needs_x: bool) -> Back:
        weight = saved.weight
        params = backward(p, weight, self.outer(dy, saved.x, weight.w))
        return Back(self.down(dy, saved, weight.w) if needs_x else None, params | _bias(p, dy))

    def tangent(self, p: Tensors, u: Tensors, saved: Operands, x_dot: Tensor | None) -> tuple[Tensor | None, Any]:
        weight = with_tangent(p, u, saved.weight)
        assert weight.w_dot is not None
        if x_dot is None:
            y_dot = self.product(saved.x, weight.w_dot)
        else:
            x_dot = self.operand(x_dot)
            y_dot = self.product2(x_dot, weight.w, saved.x, weight.w_dot)
        return (y_dot + _column(u["bias"], y_dot) if "bias" in p else y_dot), WeightedDots(x_dot, weight)

    def pull(
        self, p: Tensors, u: Tensors, saved: Operands, dots: WeightedDots, dy: Tensor, dy_dot: Tensor, needs: Needs
    ) -> Pull:
        x, weight = saved.x, dots.weight
        assert weight.w_dot is not None
        normed = "g" in p
        dw = self.outer(dy, x, weight.w) if normed else None
        x_dot = dots.x
        dw_dot = self.outer(dy_dot, x, weight.w) if x_dot is None else self.outer2(dy_dot, x, weight.w, dy, x_dot)
        value = self.down(dy, saved, weight.w) if needs.value else None
        dot = self.down2(dy_dot, saved, weight.w, dy, weight.w_dot) if needs.dot else None
        return Pull(Pair(value, dot), pull(p, u, weight, dw, dw_dot) | _bias(p, dy_dot))


class Dense(WeightedKit):
    def product(self, x: Tensor, w: Tensor) -> Tensor:
        return x @ w.t()

    def product2(self, x: Tensor, w: Tensor, x2: Tensor, w2: Tensor) -> Tensor:
        return torch.addmm(x @ w.t(), x2, w2.t())

    def down(self, dy: Tensor, saved: Operands, w: Tensor) -> Tensor:  # noqa: ARG002
        return dy @ w

    def down2(self, dy: Tensor, saved: Operands, w: Tensor, dy2: Tensor, w2: Tensor) -> Tensor:  # noqa: ARG002
        return torch.addmm(dy @ w, dy2, w2)

    def outer(self, dy: Tensor, x: Tensor, w: Tensor) -> Tensor:  # noqa: ARG002
        return dy.t() @ x

    def outer2(self, dy: Tensor, x: Tensor, w: Tensor, dy2: Tensor, x2: Tensor) -> Tensor:  # noqa: ARG002
        return torch.addmm(dy.t() @ x, dy2.t(), x2)


@dataclass(frozen=True)
class Convolution(WeightedKit):
    stride: tuple[int, int]
    padding: tuple[int, int]
    groups: int

    def weight(self, p: Tensors) -> Weight:
        weight = weight_of(p)
        return weight._replace(w=weight.w.contiguous(memory_format=torch.channels_last))

    def product(self, x: Tensor, w: Tensor) -> Tensor:
        return F.conv2d(x, w, None, self.stride, self.padding, 1, self.groups)

    def product2(self, x: Tensor, w: Tensor, x2: Tensor, w2: Tensor) -> Tensor:
        if self.groups > 1:
            return self.product(x, w) + self.product(x2, w2)
        return self.product(torch.cat([x, x2], 1), torch.cat([w, w2], 1))

    def down(self, dy: Tensor, saved: Operands, w: Tensor) -> Tensor:
        return self._backward(dy, saved.x, w, [True, False, False])[0]

    def down2(self, dy: Tensor, saved: Operands, w: Tensor, dy2: Tensor, w2: Tensor) -> Tensor:
        if self.groups > 1:
            return self.down(dy, saved, w) + self.down(dy2, saved, w2)
        return self.down(torch.cat([dy, dy2], 1), saved, torch.cat([w, w2]))

    def outer(self, dy: Tensor, x: Tensor, w: Tensor) -> Tensor:
        return self._backward(dy, x, w, [False, True, False])[1]

    def outer2(self, dy: Tensor, x: Tensor, w: Tensor, dy2: Tensor, x2: Tensor) -> Tensor:
        return self.outer(torch.cat([dy, dy2]), torch.cat([x, x2]), w)

    def _backward(self, dy: Tensor, x: Tensor, w: Tensor, mask: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
        stride, padding = list(self.stride), list(self.padding)
        return aten.convolution_backward(dy, x, w, None, stride, padding, [1, 1], False, [0, 0], self.groups, mask)


@dataclass(frozen=True)
class FewChannels(WeightedKit):
    """A convolution of images: a matrix product with the windows' columns, [B H' W', kh kw C], made once a step.

    Convolution kernels are several times slower than that for one to four input channels.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    def operand(self, x: Tensor) -> Tensor:
        """[B, H', W', kh kw C]."""
        (top, left), (down, right), (height, width) = self.padding, self.stride, self.kernel
        x = F.pad(x.permute(0, 2, 3, 1), (0, 0, left, left, top, top))
        rows, columns = (x.shape[1] - height) // down + 1, (x.shape[2] - width) // right + 1
        return torch.cat([x[window] for window in self._windows(rows, columns)], 3)

    def product(self, x: Tensor, w: Tensor) -> Tensor:
        y = x.flatten(0, 2) @ self._matrix(w).t()
        return y.reshape(*x.shape[:3], -1).permute(0, 3, 1, 2)

    def product2(self, x: Tensor, w: Tensor, x2: Tensor, w2: Tensor) -> Tensor:
        return self.product(x, w) + self.product(x2, w2)

    def down(self, dy: Tensor, saved: Operands, w: Tensor) -> Tensor:
        return self._scatter(_rows(dy) @ self._matrix(w), saved)

    def down2(self, dy: Tensor, saved: Operands, w: Tensor, dy2: Tensor, w2: Tensor) -> Tensor:
        columns = torch.addmm(_rows(dy) @ self._matrix(w), _rows(dy2), self._matrix(w2))
        return self._scatter(columns, saved)

    def outer(self, dy: Tensor, x: Tensor, w: Tensor) -> Tensor:
        dw = _rows(dy).t() @ x.flatten(0, 2)
        return dw.reshape(w.shape[0], *self.kernel, w.shape[1]).permute(0, 3, 1, 2)

    def outer2(self, dy: Tensor, x: Tensor, w: Tensor, dy2: Tensor, x2: Tensor) -> Tensor:
        return self.outer(dy, x, w) + self.outer(dy2, x2, w)

    def _matrix(self, w: Tensor) -> Tensor:
        """[O, C, kh, kw] -> [O, kh kw C]."""
        return w.permute(0, 2, 3, 1).flatten(1)

    def _windows(self, rows: int, columns: int) -> list[tuple[slice, slice, slice]]:
        (down, right), (height, width) = self.stride, self.kernel
        return [
            (slice(None), slice(i, i + down * (rows - 1) + 1, down), slice(j, j + right * (columns - 1) + 1, right))
            for i in range(height)
            for j in range(width)
        ]

    def _scatter(self, columns: Tensor, saved: Operands) -> Tensor:
        """The transpose of `operand`: adds the columns up to images."""
        batch, rows, width = saved.x.shape[:3]
        windows = self._windows(rows, width)
        parts = columns.reshape(batch, rows, width, len(windows), -1)
        (_, channels, high, wide), (top, left) = saved.shape, self.padding
        image = columns.new_zeros(batch, high + 2 * top, wide + 2 * left, channels)
        for number, window in enumerate(windows):
            image[window] += parts[:, :, :, number]
        return image[:, top : top + high, left : left + wide].permute(0, 3, 1, 2)


def _rows(dy: Tensor) -> Tensor:
    """[B, O, H, W] channels-last as [B H W, O]."""
    return dy.permute(0, 2, 3, 1).flatten(0, 2)


def _bias(p: Tensors, dy: Tensor) -> Tensors:
    return {"bias": dy.sum([0, *range(2, dy.dim())])} if "bias" in p else {}


def _column(values: Tensor, y: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (y.dim() - 2))
