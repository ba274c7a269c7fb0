"""Space `nasbench201`: the cell of NAS-Bench-201 (Dong and Yang 2020) in its macro skeleton."""

import itertools
import re
from collections.abc import Iterator
from functools import cache
from typing import ClassVar

import numpy as np

from gtn_hpc.config.searching import NasBench201Space
from gtn_hpc.core.errors import ArchitectureError
from gtn_hpc.core.records import Architecture, ImageShape
from gtn_hpc.spaces.drawing import DrawnNode, cell_body, cell_size, draw_cells
from gtn_hpc.spaces.nasbench201_function import EDGES, Cell, Function, function_of
from gtn_hpc.spaces.plan import Average, DropPath, Pool, Zero
from gtn_hpc.spaces.planner import Planner
from gtn_hpc.spaces.space import Space, Spec, Trunk, check_choice, check_keys

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
CAPTIONS = dict(zip(OPERATIONS, ("none", "skip", "conv 1x1", "conv 3x3", "avg 3x3"), strict=True))
KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
EXAMPLE = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"


class NasBench201(Space):
    """Four states, an operation on each of six edges; a state adds what its edges bring.

    Specification: {"cell": "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"}, the string of the benchmark. The network: stem of
    F channels, three stages of N cells, between them residual blocks of stride 2 with twice the channels. Leaky
    ReLU stands where the benchmark has ReLU.
    """

    name: ClassVar[str] = "nasbench201"
    weight_norm: ClassVar[bool] = False

    def __init__(self, section: NasBench201Space, image: ImageShape, classes: int) -> None:
        super().__init__(image, classes)
        self.cells, self.filters = section.cells, section.filters

    def sample(self, rng: np.random.Generator) -> Architecture:
        return self.architecture({"cell": write_cell(tuple(OPERATIONS[i] for i in rng.integers(5, size=len(EDGES))))})

    def draw(self, arch: Architecture) -> str:
        cell = read_cell(self.canonical(arch).spec["cell"])
        edges = [(to, a, CAPTIONS[op]) for (a, to), op in zip(EDGES, cell, strict=True)]
        nodes = [DrawnNode(tuple((a, op) for to, a, op in edges if to == n and op != "none")) for n in (1, 2, 3)]
        width, height = cell_size(1, [len(node.operations) for node in nodes])
        return draw_cells([("cell", cell_body(("in",), nodes, [3], "out"))], width, height)

    def _validate_spec(self, spec: Spec) -> None:
        check_keys(self.name, spec, frozenset({"cell"}))
        read_cell(spec["cell"])

    def _changes(self, spec: Spec) -> Iterator[Spec]:
        cell = read_cell(spec["cell"])
        for edge, op in itertools.product(range(len(EDGES)), OPERATIONS):
            if op != cell[edge]:
                yield {"cell": write_cell((*cell[:edge], op, *cell[edge + 1 :]))}

    def _canonical_spec(self, spec: Spec) -> Spec:
        return {"cell": write_cell(canonical_cells()[read_cell(spec["cell"])])}

    def _lay(self, planner: Planner, spec: Spec) -> Trunk:
        cell = read_cell(spec["cell"])
        value = early = planner.norm(planner.conv(0, self.filters, 3))
        for stage in range(3):
            value = early = lay_residual(planner, value) if stage else value
            for index in range(stage * self.cells, (stage + 1) * self.cells):
                value = lay_cell(planner, cell, value, (index + 1) / (3 * self.cells))
        return Trunk(planner.add(Average(), planner.norm_activate(value)), early)


def lay_cell(planner: Planner, cell: Cell, value: int, depth: float) -> int:
    """One cell upon the output of the last; states that nothing reaches are zero and are left out."""
    states: list[int | None] = [value, None, None, None]
    for to in (1, 2, 3):
        edges = [(states[a], op) for (a, b), op in zip(EDGES, cell, strict=True) if b == to and op != "none"]
        ends = [lay_edge(planner, op, state, depth) for state, op in edges if state is not None]
        states[to] = planner.sum(ends) if ends else None
    return planner.add(Zero(), value) if states[3] is None else states[3]


def lay_edge(planner: Planner, op: str, value: int, depth: float) -> int:
    if op == "skip_connect":
        return value
    if op == "avg_pool_3x3":
        end = planner.add(Pool("avg", 3), value)
    else:
        end = planner.activate_conv_norm(value, planner.shape(value).channels, KERNELS[op])
    return planner.add(DropPath(depth), end)


def lay_residual(planner: Planner, value: int) -> int:
    """Halves the size and doubles the channels: two 3x3 convolutions beside 2x2 average pooling and 1x1."""
    channels = 2 * planner.shape(value).channels
    main = planner.activate_conv_norm(planner.activate_conv_norm(value, channels, 3, 2), channels, 3)
    return planner.sum([main, planner.conv(planner.add(Pool("avg", 2, 2), value), channels, 1)])


def read_cell(text: object) -> Cell:
    """The operations of a cell string, edge by edge.

    Raises:
        ArchitectureError: not a string of the benchmark's form, or an operation it does not have.
    """
    ops = tuple(part.partition("~")[0] for part in re.split(r"[|+]+", text.strip("|"))) if isinstance(text, str) else ()
    for index, op in enumerate(ops):
        check_choice(f"nasbench201: operation {index + 1} of {text!r}", op, OPERATIONS)
    if len(ops) != len(EDGES) or write_cell(ops) != text:
        raise ArchitectureError(f"nasbench201: cell = {text!r}", remedy=f"Give a string like {EXAMPLE}")
    return ops


def write_cell(cell: Cell) -> str:
    """The cell string of six operations."""
    a, b, c, d, e, f = cell
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


@cache
def canonical_cells() -> dict[Cell, Cell]:
    """For each cell the first one with fewest operations that computes the same; about 1 s, once a process."""
    cells = sorted(itertools.product(OPERATIONS, repeat=len(EDGES)), key=lambda cell: (-cell.count("none"), cell))
    first: dict[Function, Cell] = {}
    return {cell: first.setdefault(function_of(cell), cell) for cell in cells}
