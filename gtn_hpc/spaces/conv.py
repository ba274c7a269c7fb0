"""Space `conv`: the paper's convolutional learners, two conv layers and a hidden one, with searched widths."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from gtn_hpc.config.searching import ConvSpace
from gtn_hpc.core.errors import ArchitectureError, ConfigError
from gtn_hpc.core.records import Architecture, ImageShape
from gtn_hpc.spaces.drawing import draw_row
from gtn_hpc.spaces.plan import Pool
from gtn_hpc.spaces.planner import Planner
from gtn_hpc.spaces.space import Space, Spec, Trunk, check_keys, is_int


class ConvLearners(Space):
    """conv3x3-BN-LReLU-max pool 2, twice, then FC-BN-LReLU and the classifier, all with weight norm.

    Specification: {"widths": [conv 1, conv 2, hidden]}. Every triple of widths is a network of its own.
    """

    name: ClassVar[str] = "conv"
    weight_norm: ClassVar[bool] = True

    def __init__(self, section: ConvSpace, image: ImageShape, classes: int) -> None:
        super().__init__(image, classes)
        self.ranges = section.widths
        for low, high in self.ranges:
            if low >= high:
                raise ConfigError(
                    f"search.space.widths: [{low}, {high}) is empty", remedy="Give ranges with low < high."
                )

    def sample(self, rng: np.random.Generator) -> Architecture:
        return self.architecture({"widths": [int(rng.integers(low, high)) for low, high in self.ranges]})

    def draw(self, arch: Architecture) -> str:
        first, second, hidden = self.canonical(arch).spec["widths"]
        layers = [("conv 3x3", first), ("max pool", "/ 2"), ("conv 3x3", second), ("max pool", "/ 2"), ("fc", hidden)]
        return draw_row([(name, str(size)) for name, size in layers] + [("fc", str(self.classes))])

    def _validate_spec(self, spec: Spec) -> None:
        check_keys(self.name, spec, frozenset({"widths"}))
        widths = spec["widths"]
        if not isinstance(widths, list | tuple) or len(widths) != len(self.ranges):
            raise ArchitectureError(f"conv: widths = {widths!r}", remedy="Give a list of three widths.")
        for index, (width, (low, high)) in enumerate(zip(widths, self.ranges, strict=True)):
            if not is_int(width) or not low <= width < high:
                raise ArchitectureError(f"conv: widths[{index}] = {width!r}", remedy=f"Valid: {low} to {high - 1}.")

    def _changes(self, spec: Spec) -> Iterator[Spec]:
        widths = list(spec["widths"])
        for index, (low, high) in enumerate(self.ranges):
            for width in range(low, high):
                if width != widths[index]:
                    yield {"widths": [*widths[:index], width, *widths[index + 1 :]]}

    def _canonical_spec(self, spec: Spec) -> Spec:
        return {"widths": list(spec["widths"])}

    def _lay(self, planner: Planner, spec: Spec) -> Trunk:
        *convs, hidden = spec["widths"]
        value = 0
        for width in convs:
            value = planner.add(Pool("max", 2, 2), planner.norm_activate(planner.conv(value, width, 3)))
        return Trunk(planner.norm_activate(planner.linear(value, hidden, bias=False)))
