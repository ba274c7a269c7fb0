"""A network as data, without torch: layers, the values they take and make, shapes, parameters and multiply-adds.

Every space lowers an architecture to a `Plan`. Its size and cost are sums over the plan, and `models.networks`
realises it layer by layer, so that what is counted is what is built.
"""

import math
from dataclasses import dataclass
from typing import Literal

from gtn_hpc.core.records import ImageShape


@dataclass(frozen=True)
class Conv:
    """Convolution with "same" zero padding; `kernel` (odd) and `stride` are (rows, columns)."""

    inputs: int
    outputs: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    bias: bool = False
    weight_norm: bool = False


@dataclass(frozen=True)
class Linear:
    """Fully connected layer over the flattened image."""

    inputs: int
    outputs: int
    bias: bool = True
    weight_norm: bool = False


@dataclass(frozen=True)
class Norm:
    """Batch norm with scale and shift."""

    features: int


@dataclass(frozen=True)
class Activation:
    """Leaky ReLU."""


@dataclass(frozen=True)
class Pool:
    """Pooling over the pixels that exist: padding never counts. Makes ceil(size / stride) rows and columns."""

    kind: Literal["max", "avg"]
    kernel: int
    stride: int = 1


@dataclass(frozen=True)
class Average:
    """Mean over a grid of `size` x `size` regions; 1 is global average pooling."""

    size: int = 1


@dataclass(frozen=True)
class Shift:
    """The image moved up and left by one pixel, zeros coming in (second path of a factorised reduction)."""


@dataclass(frozen=True)
class Sum:
    """Element-wise sum of all inputs."""


@dataclass(frozen=True)
class Concat:
    """All inputs side by side along the channels."""


@dataclass(frozen=True)
class Zero:
    """Zeros in the shape of the input."""


@dataclass(frozen=True)
class Dropout:
    """Dropout before a classifier."""


@dataclass(frozen=True)
class DropPath:
    """Drops the whole path of a sample; `depth` in (0, 1] is the share of cells up to and with this one."""

    depth: float


Layer = Conv | Linear | Norm | Activation | Pool | Average | Shift | Sum | Concat | Zero | Dropout | DropPath


@dataclass(frozen=True)
class Step:
    """One layer, the numbers of the values it takes, and the shape it makes (a vector is n x 1 x 1)."""

    layer: Layer
    inputs: tuple[int, ...]
    shape: ImageShape


@dataclass(frozen=True)
class Plan:
    """Steps in order of execution. Value 0 is the image, value i + 1 the result of step i.

    `output` is the value that holds the logits. With an auxiliary head, its steps stand behind all others and its
    logits are the last value.
    """

    steps: tuple[Step, ...]
    output: int

    @property
    def auxiliary(self) -> int | None:
        """The value of the auxiliary logits, if there are any."""
        return len(self.steps) if len(self.steps) > self.output else None

    @property
    def params(self) -> int:
        return sum(parameters(step.layer) for step in self.steps)

    @property
    def flops(self) -> int:
        return sum(2 * multiply_adds(step.layer, step.shape) for step in self.steps)


def result_shape(layer: Layer, *inputs: ImageShape) -> ImageShape:
    """The shape that `layer` makes of `inputs`."""
    first = inputs[0]
    match layer:
        case Conv(outputs=outputs, stride=(rows, columns)):
            return ImageShape(outputs, math.ceil(first.height / rows), math.ceil(first.width / columns))
        case Linear(outputs=outputs):
            return ImageShape(outputs, 1, 1)
        case Pool(stride=stride):
            return ImageShape(first.channels, math.ceil(first.height / stride), math.ceil(first.width / stride))
        case Average(size=size):
            return ImageShape(first.channels, size, size)
        case Concat():
            return ImageShape(sum(shape.channels for shape in inputs), first.height, first.width)
        case _:
            return first


def parameters(layer: Layer) -> int:
    """Trainable numbers of `layer`: weights, biases, the norm per output unit of weight norm, scale and shift."""
    match layer:
        case Conv(inputs, outputs, (rows, columns)):
            return outputs * (inputs * rows * columns + layer.bias + layer.weight_norm)
        case Linear(inputs, outputs):
            return outputs * (inputs + layer.bias + layer.weight_norm)
        case Norm(features):
            return 2 * features
        case _:
            return 0


def multiply_adds(layer: Layer, made: ImageShape) -> int:
    """Multiply-adds for one image, padding included; convolutions and fully connected layers only."""
    match layer:
        case Conv(inputs, outputs, (rows, columns)):
            return inputs * outputs * rows * columns * made.height * made.width
        case Linear(inputs, outputs):
            return inputs * outputs
        case _:
            return 0
