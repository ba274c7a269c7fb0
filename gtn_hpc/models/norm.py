"""Batch norm whose statistics are explicit state.

While training a batch is normalised with its own statistics, which then stand in the buffers `mean` and `var` [C].
In evaluation the buffers are used, never the statistics of the batch that is scored, so a sample's output does not
depend on its neighbours. With `momentum=None` the buffers hold the last batch's statistics as part of the graph (a
meta-loss differentiates through them); with a number they hold the usual running average, without a graph. `fused`
computes the same in fewer passes, and leaves the statistics out of the graph.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

RUNNING = 0.1
"""Weight of the newest batch in a running average of statistics, as learners on real data keep it."""

EPS = 1e-5
"""What is added to a variance before its root is taken."""


class BatchNorm(nn.Module):
    """Over [B, C, H, W] or [B, C]; `mean_only` subtracts the mean and adds a bias, without scaling."""

    mean: Tensor
    var: Tensor

    def __init__(self, features: int, *, mean_only: bool = False, momentum: float | None = None) -> None:
        super().__init__()
        self.mean_only, self.momentum, self.eps, self.fused = mean_only, momentum, EPS, False
        self.weight = None if mean_only else nn.Parameter(torch.empty(features))
        self.bias = nn.Parameter(torch.empty(features))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("var", torch.ones(features))

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:  # noqa: ARG002
        self.bias.zero_()
        if self.weight is not None:
            self.weight.fill_(1.0)
        self.mean, self.var = torch.zeros_like(self.mean), torch.ones_like(self.var)

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.mean.dtype)
        if not self.training:
            return self._with_statistics(x)
        if self.fused and self.momentum is None and self.weight is not None:
            return self._fused(x, self.weight)
        return self._last_batch(x) if self.momentum is None else self._running(x, self.momentum)

    def _with_statistics(self, x: Tensor) -> Tensor:
        if self.weight is None:
            return x - column(self.mean - self.bias, x)
        scale, shift = self.scale_and_shift()
        return x * column(scale, x) + column(shift, x)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """What evaluation does to each channel: multiplies by the one [C] and adds the other [C]."""
        if self.weight is None:
            return torch.ones_like(self.mean), self.bias - self.mean
        scale = self.weight * torch.rsqrt(self.var + self.eps)
        return scale, self.bias - self.mean * scale

    def _fused(self, x: Tensor, weight: Tensor) -> Tensor:
        y, mean, inverse = torch.native_batch_norm(x, weight, self.bias, None, None, True, 0.0, self.eps)
        self.mean, self.var = mean.detach(), inverse.detach() ** -2 - self.eps
        return y

    def _last_batch(self, x: Tensor) -> Tensor:
        """In plain arithmetic: fused batch norm gives no graph to its statistics and is slow to differentiate twice."""
        axes = [0, *range(2, x.dim())]
        self.mean = x.mean(axes)
        centred = x - column(self.mean, x)
        if self.weight is None:
            return centred + column(self.bias, x)
        self.var = centred.square().mean(axes)
        scale = self.weight * torch.rsqrt(self.var + self.eps)
        return torch.addcmul(column(self.bias, x), centred, column(scale, x))

    def _running(self, x: Tensor, momentum: float) -> Tensor:
        if self.weight is None:
            mean = x.mean([0, *range(2, x.dim())])
            self.mean = torch.lerp(self.mean, mean.detach(), momentum)
            return x - column(mean - self.bias, x)
        y, mean, inverse = torch.native_batch_norm(x, self.weight, self.bias, None, None, True, momentum, self.eps)
        self.mean = torch.lerp(self.mean, mean.detach(), momentum)
        self.var = torch.lerp(self.var, inverse.detach() ** -2 - self.eps, momentum)
        return y


def use_running_statistics(module: nn.Module, momentum: float | None) -> None:
    """Sets how every `BatchNorm` of `module` keeps statistics: None = last batch's, else running average."""
    for layer in module.modules():
        if isinstance(layer, BatchNorm):
            layer.momentum = momentum


def without_start(module: nn.Module, buffers: Mapping[str, Tensor], steps: int) -> dict[str, Tensor]:
    """The `buffers` of `module` after `steps` training steps, its running averages corrected for their start at mean 0
    and variance 1, which still weighs 43 % after 8 steps."""
    corrected = dict(buffers)
    for name, layer in module.named_modules():
        if isinstance(layer, BatchNorm) and layer.momentum is not None:
            share = (1 - layer.momentum) ** steps
            for statistic, start in (("mean", 0.0), ("var", 1.0)):
                place = f"{name}.{statistic}" if name else statistic
                corrected[place] = (buffers[place] - share * start) / (1 - share)
    return corrected


def column(values: Tensor, x: Tensor) -> Tensor:
    """[C] made to broadcast over x."""
    return values.reshape(1, -1, *[1] * (x.dim() - 2))
