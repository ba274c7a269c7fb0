"""Space `chain`: short sequences of layers of any kind, width and stride, behind one of two heads."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from gtn_hpc.config.searching import ChainSpace
from gtn_hpc.core.errors import ArchitectureError
from gtn_hpc.core.records import Architecture, ImageShape
from gtn_hpc.spaces.drawing import draw_row
from gtn_hpc.spaces.plan import Average, Pool
from gtn_hpc.spaces.planner import Planner
from gtn_hpc.spaces.space import Space, Spec, Trunk, check_choice, check_keys

CONVS = {"conv1": 1, "conv3": 3, "conv5": 5}
"""Kernel size of each convolution; "same" padding, then BN by option, then leaky ReLU."""
POOLS = {"max_pool": "max", "avg_pool": "avg"}
"""Kind of each 3x3 pooling."""
STRIDES = (1, 2)
NORMS = (True, False)
HEADS = ("average", "flatten")

LayerSpec = dict[str, Any]


class Chains(Space):
    """1 to `max_layers` layers, then global average pooling or flattening, then the classifier, with weight norm.

    Specification: {"layers": [...], "head": "average" | "flatten"}; a layer is {"op": "conv3", "width": 16,
    "stride": 2, "norm": true} or {"op": "max_pool", "stride": 2}. On maps so small that part of a kernel only ever
    meets padding, the canonical form has the smallest kernel that computes the same, and no idle layers.
    """

    name: ClassVar[str] = "chain"
    weight_norm: ClassVar[bool] = True

    def __init__(self, section: ChainSpace, image: ImageShape, classes: int) -> None:
        super().__init__(image, classes)
        self.max_layers, self.widths = section.max_layers, tuple(sorted(set(section.widths)))

    def sample(self, rng: np.random.Generator) -> Architecture:
        count = int(rng.integers(1, self.max_layers + 1))
        layers = [self._sample_layer(rng) for _ in range(count)]
        return self.architecture({"layers": layers, "head": HEADS[rng.integers(len(HEADS))]})

    def _sample_layer(self, rng: np.random.Generator) -> LayerSpec:
        ops = [*CONVS, *POOLS]
        stride, op = STRIDES[rng.integers(len(STRIDES))], ops[rng.integers(len(ops))]
        if op in POOLS:
            return {"op": op, "stride": stride}
        width, norm = self.widths[rng.integers(len(self.widths))], NORMS[rng.integers(len(NORMS))]
        return {"op": op, "width": width, "stride": stride, "norm": norm}

    def draw(self, arch: Architecture) -> str:
        spec = self.canonical(arch).spec
        head = [] if spec["head"] == "flatten" else [("average", "global")]
        return draw_row([_caption(layer) for layer in spec["layers"]] + head + [("fc", str(self.classes))])

    def _validate_spec(self, spec: Spec) -> None:
        check_keys(self.name, spec, frozenset({"layers", "head"}))
        check_choice("chain: head", spec["head"], HEADS)
        layers = spec["layers"]
        if not isinstance(layers, list | tuple) or not 1 <= len(layers) <= self.max_layers:
            raise ArchitectureError(f"chain: layers = {layers!r}", remedy=f"Give a list of 1 to {self.max_layers}.")
        for index, layer in enumerate(layers):
            self._validate_layer(f"chain: layers[{index}]", layer)

    def _validate_layer(self, where: str, layer: object) -> None:
        op = layer.get("op") if isinstance(layer, Mapping) else None
        check_choice(f"{where}.op", op, (*CONVS, *POOLS))
        assert isinstance(layer, Mapping)
        check_keys(where, layer, frozenset({"op", "stride"} if op in POOLS else {"op", "width", "stride", "norm"}))
        check_choice(f"{where}.stride", layer["stride"], STRIDES)
        if op in CONVS:
            check_choice(f"{where}.width", layer["width"], self.widths)
            check_choice(f"{where}.norm", layer["norm"], NORMS)

    def _changes(self, spec: Spec) -> Iterator[Spec]:
        """Another head; a layer put in, taken out, or changed in one field or between convolution and pooling."""
        layers = list(spec["layers"])
        yield from ({**spec, "head": head} for head in HEADS if head != spec["head"])
        for index, layer in enumerate(layers):
            before, after = layers[:index], layers[index + 1 :]
            yield from ({**spec, "layers": [*before, other, *after]} for other in self._variants(layer))
            if before or after:
                yield {**spec, "layers": [*before, *after]}
        if len(layers) < self.max_layers:
            for index in range(len(layers) + 1):
                for layer in self._every_layer():
                    yield {**spec, "layers": [*layers[:index], layer, *layers[index:]]}

    def _every_layer(self) -> Iterator[LayerSpec]:
        for stride in STRIDES:
            yield from ({"op": op, "stride": stride} for op in POOLS)
            for op in CONVS:
                for width in self.widths:
                    yield from ({"op": op, "width": width, "stride": stride, "norm": norm} for norm in NORMS)

    def _variants(self, layer: LayerSpec) -> Iterator[LayerSpec]:
        for other in self._every_layer():
            same_kind = other.keys() == layer.keys()
            if same_kind and sum(other[key] != layer[key] for key in other) == 1:
                yield other
            if not same_kind and other["stride"] == layer["stride"]:
                yield other

    def _canonical_spec(self, spec: Spec) -> Spec:
        layers: list[LayerSpec] = []
        size = max(self.image.height, self.image.width)
        for layer in spec["layers"]:
            if size > 1 or layer["op"] in CONVS:
                layers.append(_smallest(layer, size))
            size = math.ceil(size / layer["stride"])
        return {"layers": layers, "head": spec["head"] if size > 1 else "flatten"}

    def _lay(self, planner: Planner, spec: Spec) -> Trunk:
        value = 0
        for layer in spec["layers"]:
            value = _lay_layer(planner, layer, value)
        return Trunk(value if spec["head"] == "flatten" else planner.add(Average(), value))


def _smallest(layer: LayerSpec, size: int) -> LayerSpec:
    """The same computation on maps of at most `size` rows and columns, with no tap that never meets a pixel."""
    if layer["op"] in POOLS:
        return dict(layer)
    op = f"conv{min(CONVS[layer['op']], 2 * size - 1)}"
    return {**layer, "op": op, "stride": layer["stride"] if size > 1 else 1}


def _lay_layer(planner: Planner, layer: LayerSpec, value: int) -> int:
    if layer["op"] in POOLS:
        return planner.add(Pool(POOLS[layer["op"]], 3, layer["stride"]), value)  # type: ignore[arg-type]
    value = planner.conv(value, layer["width"], CONVS[layer["op"]], layer["stride"], bias=not layer["norm"])
    return planner.norm_activate(value) if layer["norm"] else planner.activate(value)


def _caption(layer: LayerSpec) -> tuple[str, str]:
    halved = " / 2" if layer["stride"] == 2 else ""
    if layer["op"] in POOLS:
        return layer["op"].replace("_", " "), f"3x3{halved}"
    kernel = CONVS[layer["op"]]
    return f"conv {kernel}x{kernel}", f"{layer['width']}{' bn' if layer['norm'] else ''}{halved}"
