"""The generator of synthetic images (paper section 3.1; sizes of the released configuration by default)."""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gtn_hpc.config.teaching import Generator as GeneratorSection
from gtn_hpc.core.records import ImageShape
from gtn_hpc.models.layers import SLOPE, Conv2d, Linear

AMPLITUDE = 2.0
"""Synthetic pixels lie in (-2, 2), in units of the image set's standard deviation."""

SMALL = 2**17
"""Values of a map up to which its convolution is a matrix product."""


class SyntheticBatchNorm(nn.Module):
    """Batch norm that always uses the statistics of the synthetic batch, in training and in export."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor, batches: int = 1) -> Tensor:
        """`x` holds the images of `batches` equal batches, one after another; each is normalised alone."""
        if batches == 1:
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True)
        # as channels of its own, for that is what batch norm keeps apart
        apart = x.unflatten(0, (batches, -1)).transpose(0, 1).flatten(1, 2)
        y = F.batch_norm(apart, None, None, self.weight.repeat(batches), self.bias.repeat(batches), training=True)
        return y.unflatten(1, (batches, -1)).transpose(0, 1).flatten(0, 1)


class Generator(nn.Module):
    """Latents [B, Z] and class probabilities [B, K] to images [B, C, H, W].

    Two fully connected layers make a map of a quarter of the image size, then twice: nearest x2, reflection pad and a
    3x3 convolution; tanh at the end. Sizes that four does not divide are cropped from the next larger one.
    """

    def __init__(self, section: GeneratorSection, image: ImageShape, classes: int) -> None:
        super().__init__()
        self.image = image
        first, second = section.channels
        self.base = (first, -(-image.height // 4), -(-image.width // 4))
        pixels = self.base[0] * self.base[1] * self.base[2]
        norm = section.weight_norm
        self.fc1 = Linear(section.noise + classes, section.hidden, bias=False, weight_norm=norm)
        self.fc2 = Linear(section.hidden, pixels, bias=False, weight_norm=norm)
        self.conv1 = Conv2d(first, second, 3, padding=0, bias=False, weight_norm=False)
        self.conv2 = Conv2d(second, image.channels, 3, padding=0, weight_norm=False)
        self.norm1, self.norm2 = SyntheticBatchNorm(section.hidden), SyntheticBatchNorm(first)
        self.norm3 = SyntheticBatchNorm(second)

    def forward(self, latent: Tensor, label: Tensor, batches: int = 1) -> Tensor:
        """With `batches` > 1 as if as many equal batches were made one by one."""
        x = torch.cat([latent, label], dim=1)
        x = F.leaky_relu(self.norm1(self.fc1(x), batches), SLOPE)
        channels, height, width = self.base
        x = self.fc2(x).reshape(-1, height, width, channels).permute(0, 3, 1, 2)
        x = F.leaky_relu(self.norm2(x, batches), SLOPE)
        x = F.leaky_relu(self.norm3(double_and_convolve(x, self.conv1), batches), SLOPE)
        x = double_and_convolve(x, self.conv2)[:, :, : self.image.height, : self.image.width]
        return AMPLITUDE * torch.tanh(x)


def double_and_convolve(x: Tensor, conv: Conv2d) -> Tensor:
    """Nearest x2, reflection pad by one and a 3x3 convolution, [B, C, H, W] -> [B, O, 2H, 2W], in .58 of the work.

    The convolution of a doubled map sees only 2x2 different pixels at a time, and gives 2x2 outputs for each such
    window: so it is a 2x2 convolution with 4 O outputs of the small map, its weights being sums of neighbours.
    """
    outputs, inputs = conv.weight.shape[:2]
    folded = conv.weight.reshape(-1, 9) @ _fold(conv.weight.dtype, conv.weight.device)
    kernel = folded.reshape(outputs, inputs, 4, 2, 2).transpose(1, 2).reshape(-1, inputs, 2, 2)
    bias = None if conv.bias is None else conv.bias.repeat_interleave(4)
    y = _convolve_windows(_replicate_edges(x), kernel, bias)
    return F.pixel_shuffle(y, 2)[:, :, 1:-1, 1:-1]


def _replicate_edges(x: Tensor) -> Tensor:
    """By one pixel. CUDA's padding adds its cotangents up in any order, and no run on it would repeat."""
    if not x.is_cuda:
        return F.pad(x, (1, 1, 1, 1), mode="replicate")
    x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)
    return torch.cat([x[:, :, :, :1], x, x[:, :, :, -1:]], 3)


def _convolve_windows(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution with 2x2 kernels; small ones as a matrix product, for calling a kernel costs more than its work."""
    if x.is_cuda or x.numel() > SMALL:
        return F.conv2d(x, kernel.contiguous(memory_format=torch.channels_last), bias)
    windows = x.permute(0, 2, 3, 1).unfold(1, 2, 1).unfold(2, 2, 1).flatten(3)
    return F.linear(windows, kernel.flatten(1), bias).permute(0, 3, 1, 2)


@cache
def _fold(dtype: torch.dtype, device: torch.device) -> Tensor:
    """[3 3, 2 2 2 2]: which of the nine weights each of the four outputs' 2x2 kernels sums."""
    rows = torch.tensor([[[1, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 1]]], dtype=dtype, device=device)
    return torch.einsum("pak,qbl->klpqab", rows, rows).reshape(9, 16)
