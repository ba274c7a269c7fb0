"""The layers of a plan that have no parameters, as modules that can be differentiated twice and in any precision."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MaxPool(nn.Module):
    """[B, C, H, W] -> [B, C, ceil(H / stride), ceil(W / stride)]; padding is never the maximum."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        x = _extend(x, self.kernel, self.stride)
        return F.max_pool2d(x, self.kernel, self.stride, padding=(self.kernel - 1) // 2)


class AvgPool(nn.Module):
    """[B, C, H, W] -> [B, C, ceil(H / stride), ceil(W / stride)]; the mean over existing pixels."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        x = _extend(x, self.kernel, self.stride)
        padding = (self.kernel - 1) // 2
        if padding and x.is_cuda:
            return mean_of_existing(x, self.kernel, self.stride)
        return F.avg_pool2d(x, self.kernel, self.stride, padding=padding, count_include_pad=False)


def mean_of_existing(x: Tensor, kernel: int, stride: int) -> Tensor:
    """The padded `avg_pool2d` by one without padding: where channels lie last in a GPU's memory the gradient of the
    padded one is wrong, without a word, up to torch 2.13 (pytorch issue 188344)."""
    around = ((kernel - 1) // 2,) * 4
    there = x.new_ones(1, 1, *x.shape[2:])
    sums, counts = (F.avg_pool2d(F.pad(v, around), kernel, stride, divisor_override=1) for v in (x, there))
    return sums / counts


def _extend(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Repeats the last row or column where a 2x2 window hangs over it, which leaves its maximum and mean as is."""
    if kernel != 2:
        return x
    if stride == 1 or x.shape[2] % 2:
        x = torch.cat([x, x[:, :, -1:]], dim=2)
    if stride == 1 or x.shape[3] % 2:
        x = torch.cat([x, x[:, :, :, -1:]], dim=3)
    return x


class Average(nn.Module):
    """[B, C, H, W] -> [B, C, size, size]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        if self.size == 1:
            return x.mean(dim=(2, 3), keepdim=True)
        if x.is_cuda and (x.shape[2] % self.size or x.shape[3] % self.size):
            return average_of_windows(x, self.size)
        return F.adaptive_avg_pool2d(x, self.size)


def average_of_windows(x: Tensor, size: int) -> Tensor:
    """`adaptive_avg_pool2d` by slices: where windows overlap, its gradient on a GPU may differ from call to call."""
    rows, columns = ([slice(i * n // size, -(-(i + 1) * n // size)) for i in range(size)] for n in x.shape[2:])
    means = [x[:, :, row, column].mean(dim=(2, 3)) for row in rows for column in columns]
    return torch.stack(means, dim=2).unflatten(2, (size, size))


class Shift(nn.Module):
    """Moves [B, C, H, W] up and left by one pixel; zeros come in."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]


class Sum(nn.Module):
    def forward(self, *inputs: Tensor) -> Tensor:
        total = inputs[0]
        for x in inputs[1:]:
            total = total + x
        return total


class Concat(nn.Module):
    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, dim=1)


class Zero(nn.Module):
    """Zeros that stay part of the graph, so that layers above get a gradient (of zero)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 0.0


class Drop(nn.Module):
    """Sets elements to zero with probability `p` while training and scales the rest by 1 / (1 - p).

    With `whole_sample` all elements of a sample share their fate. Draws come from `generator` (on the device of x)
    where it is set, else from torch's own.
    """

    def __init__(self, p: float, *, whole_sample: bool) -> None:
        super().__init__()
        self.p, self.whole_sample = p, whole_sample
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        ones = torch.ones_like(x[:, :1, :1, :1] if self.whole_sample else x)
        if self.generator is None:
            return x * F.dropout(ones, self.p)
        return x * ones.bernoulli_(1 - self.p, generator=self.generator) / (1 - self.p)
