"""Writes a `Plan` layer by layer, keeping track of shapes."""

from gtn_hpc.core.records import ImageShape
from gtn_hpc.spaces.plan import (
    Activation,
    Average,
    Concat,
    Conv,
    Dropout,
    Layer,
    Linear,
    Norm,
    Plan,
    Step,
    Sum,
    result_shape,
)


class Planner:
    """Every method appends layers behind a value and returns the number of the value they make; 0 is the image."""

    def __init__(self, image: ImageShape, *, weight_norm: bool) -> None:
        self._weight_norm = weight_norm
        self._shapes = [image]
        self._steps: list[Step] = []

    def shape(self, value: int) -> ImageShape:
        return self._shapes[value]

    def add(self, layer: Layer, *inputs: int) -> int:
        shape = result_shape(layer, *(self._shapes[value] for value in inputs))
        self._steps.append(Step(layer, inputs, shape))
        self._shapes.append(shape)
        return len(self._steps)

    def conv(
        self,
        value: int,
        outputs: int,
        kernel: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        *,
        bias: bool = False,
    ) -> int:
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        stride = (stride, stride) if isinstance(stride, int) else stride
        inputs = self.shape(value).channels
        return self.add(Conv(inputs, outputs, kernel, stride, bias, self._weight_norm), value)

    def linear(self, value: int, outputs: int, *, bias: bool = True) -> int:
        shape = self.shape(value)
        inputs = shape.channels * shape.height * shape.width
        return self.add(Linear(inputs, outputs, bias, self._weight_norm), value)

    def norm(self, value: int) -> int:
        return self.add(Norm(self.shape(value).channels), value)

    def activate(self, value: int) -> int:
        return self.add(Activation(), value)

    def norm_activate(self, value: int) -> int:
        return self.activate(self.norm(value))

    def activate_conv_norm(self, value: int, outputs: int, kernel: int, stride: int = 1) -> int:
        """LReLU-conv-BN, the convolution of cell networks."""
        return self.norm(self.conv(self.activate(value), outputs, kernel, stride))

    def sum(self, values: list[int]) -> int:
        return values[0] if len(values) == 1 else self.add(Sum(), *values)

    def concat(self, values: list[int]) -> int:
        return values[0] if len(values) == 1 else self.add(Concat(), *values)

    def classify(self, value: int, classes: int) -> int:
        return self.linear(self.add(Dropout(), value), classes)

    def auxiliary_head(self, value: int, classes: int) -> int:
        """Logits of a state on the way, as in NAO: 1x1 conv to 128 on a 2 x 2 grid, 768 units, classifier."""
        grid = self.add(Average(2), self.activate(value))
        hidden = self.norm_activate(self.conv(grid, 128, 1))
        return self.linear(self.norm_activate(self.linear(hidden, 768, bias=False)), classes)

    def finish(self, output: int) -> Plan:
        return Plan(tuple(self._steps), output)
