"""Weight norm w = g v / |v| in the kit: forward, backward, and the derivative of both along a direction.

The fused backward kernel N(d) = (s (d - v_hat <v_hat, d>), <v_hat, d>), with s = g / |v|, serves for all but two of the
products. Numbers of rows are [O, 1, ...].
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gtn_hpc.inner.optimisers import Tensors

aten = torch.ops.aten


class Rows(NamedTuple):
    """g, |v| and s = g / |v| of each row, and the derivatives of log |v| and of s along u."""

    g: Tensor
    norm: Tensor
    scale: Tensor | None = None
    shrink: Tensor | None = None
    scale_dot: Tensor | None = None


class Weight(NamedTuple):
    """The effective weight, its derivative along u (None while training), and the rows' numbers under weight norm."""

    w: Tensor
    rows: Rows | None = None
    w_dot: Tensor | None = None


def weight_of(p: Tensors) -> Weight:
    v = p["weight"]
    if "g" not in p:
        return Weight(v)
    g = p["g"].view(-1, *[1] * (v.dim() - 1))
    w, norm = aten._weight_norm_interface(v, g, 0)
    return Weight(w, Rows(g, norm))


def with_tangent(p: Tensors, u: Tensors, weight: Weight) -> Weight:
    v, v_dot, rows = p["weight"], u["weight"], weight.rows
    if rows is None:
        return weight._replace(w_dot=v_dot)
    turned, norm_dot = _project(v, rows, v_dot)
    rate, scale = u["g"].view_as(rows.g) / rows.norm, rows.g / rows.norm
    shrink = norm_dot / rows.norm
    rows = rows._replace(scale=scale, shrink=shrink, scale_dot=rate - scale * shrink)
    return weight._replace(rows=rows, w_dot=torch.addcmul(turned, v, rate))


def backward(p: Tensors, weight: Weight, dw: Tensor) -> Tensors:
    """Gradients of v and g from that of w."""
    if weight.rows is None:
        return {"weight": dw}
    v_bar, along = _project(p["weight"], weight.rows, dw)
    return {"weight": v_bar, "g": along}


def pull(p: Tensors, u: Tensors, weight: Weight, dw: Tensor | None, dw_dot: Tensor) -> Tensors:
    """The derivative of `backward`; the gradient `dw` itself is needed with weight norm only."""
    rows = weight.rows
    if rows is None or dw is None:
        return {"weight": dw_dot}
    assert rows.scale is not None and rows.shrink is not None and rows.scale_dot is not None
    v, v_dot = p["weight"], u["weight"]
    (_, along), (v_bar, along_dot) = _project(v, rows, dw), _project(v, rows, dw_dot)
    crossed = (v_dot * dw).sum(list(range(1, v.dim())), keepdim=True) / rows.norm - along * rows.shrink
    back = rows.scale * along / rows.norm
    back_dot = (rows.scale_dot * along + rows.scale * crossed) / rows.norm - back * rows.shrink
    v_bar = torch.addcmul(v_bar, dw, rows.scale_dot).addcmul_(v_dot, -back).addcmul_(v, -back_dot)
    return {"weight": v_bar, "g": crossed + along_dot}


def _project(v: Tensor, rows: Rows, d: Tensor) -> tuple[Tensor, Tensor]:
    return aten._weight_norm_interface_backward(d.contiguous(), v, rows.g, rows.norm, 0)
