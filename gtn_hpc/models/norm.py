"""Batch norm whose statistics are explicit state.

While training a batch is normalised with its own statistics, which then stand in the buffers `mean` and `var` [C].
In evaluation the buffers are used, never the statistics of the batch that is scored, so a sample's output does not
depend on its neighbours. With `momentum=None` the buffers hold the last batch's statistics as part of the graph (a
meta-loss differentiates through them); with a number they hold the usual running average, without a graph.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BatchNorm(nn.Module):
    """Over [B, C, H, W] or [B, C]; `mean_only` subtracts the mean and adds a bias, without scaling."""

    mean: Tensor
    var: Tensor

    def __init__(
        self, features: int, *, mean_only: bool = False, momentum: float | None = None, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.mean_only, self.momentum, self.eps = mean_only, momentum, eps
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
        mean, var = self._statistics(x) if self.training else (self.mean, self.var)
        if self.weight is None:
            return x - _per_channel(mean - self.bias, x)
        if self.training:
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        scale = self.weight * torch.rsqrt(var + self.eps)
        return x * _per_channel(scale, x) + _per_channel(self.bias - mean * scale, x)

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        axes = [0, *range(2, x.dim())]
        var, mean = torch.var_mean(x, dim=axes, correction=0)
        if self.momentum is None:
            self.mean, self.var = mean, var
        else:
            self.mean = torch.lerp(self.mean, mean.detach(), self.momentum)
            self.var = torch.lerp(self.var, var.detach(), self.momentum)
        return mean, var


def use_running_statistics(module: nn.Module, momentum: float | None) -> None:
    """Sets how every `BatchNorm` of `module` keeps statistics: None = last batch's, else running average."""
    for layer in module.modules():
        if isinstance(layer, BatchNorm):
            layer.momentum = momentum


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (x.dim() - 2))
