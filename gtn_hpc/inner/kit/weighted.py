"""Linear layers and convolutions in the kit: y = w * x + b, bilinear in w and x.

With x_dot and w_dot, y_dot = w * x_dot + w_dot * x; going down, dx_dot = w' dy_dot + w_dot' dy and
dw_dot = dy_dot x + dy x_dot. Such sums of two products are made as one product of concatenated operands.
"""

from abc import abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gtn_hpc.inner.kit.layer import Back, KitLayer, Needs, Pair, Pull
from gtn_hpc.inner.kit.weight_norm import Weight, backward, pull, weight_of, with_tangent
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.models.norm import column


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

    def forward(self, p: Tensors, x: Tensor) -> tuple[Tensor, Any]:
        saved = Operands(self.operand(x), weight_of(p), x.shape)
        y = self.product(saved.x, saved.weight.w)
        return (y + column(p["bias"], y) if "bias" in p else y), saved

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
        return (y_dot + column(u["bias"], y_dot) if "bias" in p else y_dot), WeightedDots(x_dot, weight)

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


def _bias(p: Tensors, dy: Tensor) -> Tensors:
    return {"bias": dy.sum([0, *range(2, dy.dim())])} if "bias" in p else {}
