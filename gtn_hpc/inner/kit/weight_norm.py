"""Weight norm w = g v / |v| in the kit: forward, backward, and the derivative of both along a direction."""

from typing import NamedTuple

import torch
from torch import Tensor

from gtn_hpc.inner.optimisers import Tensors


class Weight(NamedTuple):
    """The effective weight, its derivative along u (None while training), and what backward needs of them."""

    w: Tensor
    norm: Tensor | None = None
    scale: Tensor | None = None
    norm_dot: Tensor | None = None
    scale_dot: Tensor | None = None
    w_dot: Tensor | None = None


def weight_of(p: Tensors) -> Weight:
    v = p["weight"]
    if "g" not in p:
        return Weight(v)
    norm = torch.linalg.vector_norm(v.flatten(1), dim=1)
    scale = p["g"] / norm
    return Weight(v * _row(scale, v), norm, scale)


def with_tangent(p: Tensors, u: Tensors, weight: Weight) -> Weight:
    v, v_dot = p["weight"], u["weight"]
    if weight.norm is None or weight.scale is None:
        return weight._replace(w_dot=v_dot)
    norm_dot = _dot(v, v_dot) / weight.norm
    scale_dot = (u["g"] - weight.scale * norm_dot) / weight.norm
    w_dot = v * _row(scale_dot, v) + v_dot * _row(weight.scale, v)
    return weight._replace(norm_dot=norm_dot, scale_dot=scale_dot, w_dot=w_dot)


def backward(p: Tensors, weight: Weight, dw: Tensor) -> Tensors:
    """Gradients of v and g from that of w."""
    if weight.norm is None or weight.scale is None:
        return {"weight": dw}
    along = _dot(p["weight"], dw) / weight.norm
    scale = weight.scale
    return {"weight": dw * _row(scale, dw) - p["weight"] * _row(scale * along / weight.norm, dw), "g": along}


def pull(p: Tensors, u: Tensors, weight: Weight, dw: Tensor | None, dw_dot: Tensor) -> Tensors:
    """The derivative of `backward`; the gradient `dw` itself is needed with weight norm only."""
    if weight.norm is None or dw is None:
        return {"weight": dw_dot}
    assert weight.scale is not None and weight.norm_dot is not None and weight.scale_dot is not None
    v, v_dot, n, s = p["weight"], u["weight"], weight.norm, weight.scale
    shrink = weight.norm_dot / n
    along = _dot(v, dw) / n
    along_dot = (_dot(v_dot, dw) + _dot(v, dw_dot)) / n - along * shrink
    back = s * along / n
    back_dot = (weight.scale_dot * along + s * along_dot) / n - back * shrink
    v_bar = dw * _row(weight.scale_dot, v) + dw_dot * _row(s, v) - v * _row(back_dot, v) - v_dot * _row(back, v)
    return {"weight": v_bar, "g": along_dot}


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)


def _row(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (like.dim() - 1))
