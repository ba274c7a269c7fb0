"""A network of the same parameters and the same function as its plan's, arranged to run fast.

Channels lie last in memory, layers without parameters that take the same values run once (the leaky ReLU before two
convolutions of one state, equal pools), batch norm is one fused operation, and in evaluation it is folded into the
convolution before it. Only for single differentiation: the statistics in the buffers have no graph.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gtn_hpc.models.layers import Conv2d
from gtn_hpc.models.networks import Network, last_uses
from gtn_hpc.models.networks_operations import Drop
from gtn_hpc.models.norm import BatchNorm
from gtn_hpc.spaces import plan as layers

SHAREABLE = (layers.Activation, layers.Pool, layers.Shift, layers.Zero, layers.Average)
"""Layers whose result is a function of their inputs alone."""

IMAGE_DIMENSIONS = 4


class LeanNetwork(nn.Module):
    """Images [B, C, H, W] to logits [B, K], as `network`, whose modules it takes; names of parameters are equal.

    It has neither dropout nor drop-path nor an auxiliary head: a score is made without them.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.steps = network.steps
        self.schedule, self.output = _schedule(network)
        self.release = last_uses([inputs for _, inputs in self.schedule], self.output)
        self.folded = _folded(network, self.schedule)
        for module in self.modules():
            if isinstance(module, BatchNorm):
                module.fused = True

    def forward(self, x: Tensor) -> Tensor:
        values = {0: _channels_last(x)}
        for number, (index, inputs) in enumerate(self.schedule):
            values[index + 1] = self._run(index, [values[value] for value in inputs])
            for value in self.release[number]:
                del values[value]
        return values[self.output]

    def _run(self, index: int, inputs: list[Tensor]) -> Tensor:
        module = self.steps[index]
        if isinstance(module, Conv2d):
            norm = None if self.training else self.folded.get(index)
            weight, bias = _weight_and_bias(module, None if norm is None else self.steps[norm])
            return _convolve(module, inputs[0], weight, bias)
        if not self.training and index in self.folded.values():
            return inputs[0]
        return module(*inputs)


def _schedule(network: Network) -> tuple[list[tuple[int, list[int]]], int]:
    """(step, values it takes) of what has to run, and the value that holds the logits."""
    same, seen, schedule = {0: 0}, dict[object, int](), list[tuple[int, list[int]]]()
    for index, step in enumerate(network.plan.steps[: network.plan.output]):
        inputs = [same[value] for value in step.inputs]
        if isinstance(network.steps[index], Drop):
            same[index + 1] = inputs[0]
            continue
        known = seen.get((step.layer, *inputs)) if isinstance(step.layer, SHAREABLE) else None
        same[index + 1] = index + 1 if known is None else known
        if known is None:
            seen[(step.layer, *inputs)] = index + 1
            schedule.append((index, inputs))
    return schedule, same[network.plan.output]


def _folded(network: Network, schedule: list[tuple[int, list[int]]]) -> dict[int, int]:
    """Convolutions whose only reader is a batch norm -> that batch norm."""
    readers: dict[int, list[int]] = {}
    for index, inputs in schedule:
        for value in inputs:
            readers.setdefault(value, []).append(index)
    return {
        index: norms[0]
        for index, _ in schedule
        if isinstance(network.steps[index], Conv2d)
        and len(norms := readers.get(index + 1, [])) == 1
        and isinstance(network.steps[norms[0]], BatchNorm)
    }


def _weight_and_bias(conv: Conv2d, norm: nn.Module | None) -> tuple[Tensor, Tensor | None]:
    """Of a convolution, with the batch norm after it in evaluation, where there is one."""
    weight = conv.effective_weight()
    if not isinstance(norm, BatchNorm):
        return weight, conv.bias
    scale, shift = norm.scale_and_shift()
    return weight * scale.reshape(-1, 1, 1, 1), shift if conv.bias is None else shift + scale * conv.bias


def _convolve(conv: Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A strided 1x1 convolution is done on the pixels that it reads.

    It is quicker, and oneDNN's own backward pass of it writes past its memory where channels lie last and are fewer
    than 8 (torch 2.13, AVX2).
    """
    stride = conv.stride if isinstance(conv.stride, tuple) else (conv.stride, conv.stride)
    if weight.shape[2:] == (1, 1) and stride != (1, 1):
        x, stride = _channels_last(x[:, :, :: stride[0], :: stride[1]]), (1, 1)
    return _channels_last(F.conv2d(x, weight, bias, stride=stride, padding=conv.padding))


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == IMAGE_DIMENSIONS else x
