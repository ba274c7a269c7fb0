"""Batch norm in the kit: y = gamma x_hat + beta with x_hat = r (x - mean), r = 1 / sqrt(var + eps).

With P(v) = v - mean(v) - x_hat mean(v x_hat), the projection that is batch norm's Jacobian r P, the kernel of batch
norm's backward pass computes w r P(v), sum(v x_hat) and sum(v) for any v, centred: all that is needed here.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gtn_hpc.inner.kit.layer import Back, KitLayer, Needs, Pair, Pull
from gtn_hpc.inner.optimisers import Tensors
from gtn_hpc.models.norm import column

aten = torch.ops.aten


class Normed(NamedTuple):
    x: Tensor
    mean: Tensor
    r: Tensor


class NormDots(NamedTuple):
    """x_hat's derivative [like x], and that of log r, negated [C]."""

    x_hat: Tensor
    shrink: Tensor


@dataclass(frozen=True)
class Norm(KitLayer):
    eps: float

    def forward(self, p: Tensors, x: Tensor) -> tuple[Tensor, Any]:
        y, mean, r = aten.native_batch_norm(x, p["weight"], p["bias"], None, None, True, 0.0, self.eps)
        return y, Normed(x, mean, r)

    def buffers(self, saved: Normed) -> Tensors:
        return {"mean": saved.mean, "var": saved.r**-2 - self.eps}

    def backward(self, p: Tensors, saved: Normed, dy: Tensor, *, needs_x: bool) -> Back:
        dx, weight, bias = self._project(saved, dy, p["weight"], needs_x)
        return Back(dx, {"weight": weight, "bias": bias})

    def tangent(self, p: Tensors, u: Tensors, saved: Normed, x_dot: Tensor | None) -> tuple[Tensor | None, Any]:
        x, mean, r = saved
        x_hat_dot, along, _ = self._project(saved, torch.zeros_like(x) if x_dot is None else x_dot, None)
        scale = r * u["weight"]
        y_dot = torch.addcmul(column(u["bias"] - mean * scale, x), x, column(scale, x))
        y_dot = y_dot.addcmul_(x_hat_dot, column(p["weight"], x))
        return y_dot, NormDots(x_hat_dot, r * along / count(x))

    def pull(
        self, p: Tensors, u: Tensors, saved: Normed, dots: NormDots, dy: Tensor, dy_dot: Tensor, needs: Needs
    ) -> Pull:
        x, mean, r = saved
        gamma, n = p["weight"], count(x)
        through, along, _ = self._project(saved, dy, None)
        projected, along_dot, bias_dot = self._project(saved, dy_dot, gamma, needs.dot)
        turned = (dy * dots.x_hat).sum(axes(x))
        params = {"weight": along_dot + turned, "bias": bias_dot}
        value = through * column(gamma, x) if needs.value else None
        if not needs.dot:
            return Pull(Pair(value, None), params)
        slope = -r * r * gamma * turned / n
        x_dot = torch.addcmul(column(-slope * mean, x), x, column(slope, x))
        x_dot = x_dot.addcmul_(dots.x_hat, column(-r * gamma * along / n, x))
        x_dot = x_dot.addcmul_(through, column(u["weight"] - gamma * dots.shrink, x)).add_(projected)
        return Pull(Pair(value, x_dot), params)

    def pull_buffers(self, saved: Normed, x_dot: Tensor, given: Tensors) -> Tensor:
        x, mean, _ = saved
        slope = 2 * given["var"] / count(x) if "var" in given else torch.zeros_like(mean)
        level = given["mean"] / count(x) if "mean" in given else torch.zeros_like(mean)
        return torch.addcmul(x_dot + column(level - slope * mean, x), x, column(slope, x))

    def _project(
        self, saved: Normed, v: Tensor, weight: Tensor | None, project: bool = True
    ) -> tuple[Tensor, Tensor, Tensor]:
        """weight r P(v), sum(v x_hat) [C] and sum(v) [C]."""
        x, mean, r = saved
        mask = [project, True, True]
        if x.is_cuda and weight is None:  # CUDA's kernel for channels-last wants one
            weight = torch.ones_like(mean)
        return aten.native_batch_norm_backward(v, x, weight, None, None, mean, r, True, self.eps, mask)


class Centre(KitLayer):
    """Mean-only batch norm: y = x - mean(x) + beta."""

    def forward(self, p: Tensors, x: Tensor) -> tuple[Tensor, Any]:
        mean = x.mean(axes(x))
        return x - column(mean - p["bias"], x), (x, mean)

    def buffers(self, saved: tuple[Tensor, Tensor]) -> Tensors:
        return {"mean": saved[1]}

    def backward(self, p: Tensors, saved: Any, dy: Tensor, *, needs_x: bool) -> Back:  # noqa: ARG002
        total = dy.sum(axes(dy))
        return Back(_centred(dy, total) if needs_x else None, {"bias": total})

    def tangent(self, p: Tensors, u: Tensors, saved: Any, x_dot: Tensor | None) -> tuple[Tensor | None, Any]:  # noqa: ARG002
        x, _ = saved
        x_dot = torch.zeros_like(x) if x_dot is None else x_dot
        return x_dot - column(x_dot.mean(axes(x)) - u["bias"], x), None

    def pull(
        self,
        p: Tensors,  # noqa: ARG002
        u: Tensors,  # noqa: ARG002
        saved: Any,  # noqa: ARG002
        dots: Any,  # noqa: ARG002
        dy: Tensor,
        dy_dot: Tensor,
        needs: Needs,
    ) -> Pull:
        total = dy_dot.sum(axes(dy))
        value = _centred(dy, dy.sum(axes(dy))) if needs.value else None
        return Pull(Pair(value, _centred(dy_dot, total) if needs.dot else None), {"bias": total})

    def pull_buffers(self, saved: tuple[Tensor, Tensor], x_dot: Tensor, given: Tensors) -> Tensor:
        x, _ = saved
        return x_dot + column(given["mean"] / count(x), x) if "mean" in given else x_dot


@dataclass(frozen=True)
class ScoredNorm(KitLayer):
    """Batch norm in evaluation: the buffers stand among the parameters, and get gradients as they do."""

    eps: float
    mean_only: bool

    def forward(self, p: Tensors, x: Tensor) -> tuple[Tensor, Any]:
        if self.mean_only:
            return x - column(p["mean"] - p["bias"], x), x
        scale = p["weight"] * torch.rsqrt(p["var"] + self.eps)
        return torch.addcmul(column(p["bias"] - p["mean"] * scale, x), x, column(scale, x)), x

    def backward(self, p: Tensors, saved: Tensor, dy: Tensor, *, needs_x: bool) -> Back:
        total = dy.sum(axes(dy))
        if self.mean_only:
            return Back(dy, {"bias": total, "mean": -total})
        r = torch.rsqrt(p["var"] + self.eps)
        along = (dy * (saved - column(p["mean"], saved))).sum(axes(dy))
        scale = p["weight"] * r
        var = -0.5 * along * scale * r * r
        params = {"weight": along * r, "bias": total, "mean": -total * scale, "var": var}
        return Back(dy * column(scale, dy) if needs_x else None, params)

    def tangent(self, p: Tensors, u: Tensors, saved: Any, x_dot: Tensor | None) -> tuple[Tensor | None, Any]:
        raise NotImplementedError("a real loss is differentiated once")

    def pull(self, p: Tensors, u: Tensors, saved: Any, dots: Any, dy: Tensor, dy_dot: Tensor, needs: Needs) -> Pull:
        raise NotImplementedError("a real loss is differentiated once")


def axes(x: Tensor) -> list[int]:
    """All but the channels'."""
    return [0, *range(2, x.dim())]


def count(x: Tensor) -> int:
    """Values a channel."""
    return x.numel() // x.shape[1]


def _centred(values: Tensor, total: Tensor) -> Tensor:
    return values - column(total / count(values), values)
