"""Space `nao_cell`: the micro cell of ENAS and NAO, which the paper searches (Luo et al. 2018).

It departs from NAO's code in the operations of two kernels: see `conv_pair`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar

import numpy as np

from gtn_hpc.config.searching import NaoCellSpace
from gtn_hpc.core.errors import ArchitectureError
from gtn_hpc.core.records import Architecture, ImageShape
from gtn_hpc.spaces.drawing import DrawnNode, cell_body, cell_size, draw_cells
from gtn_hpc.spaces.plan import Average, DropPath, Pool, Shift
from gtn_hpc.spaces.planner import Planner
from gtn_hpc.spaces.space import Space, Spec, Trunk, check_choice, check_keys

Edge = tuple[int, str]
"""(state taken, operation); states 0 and 1 are the outputs of the cell before the last and of the last one."""
Cell = list[tuple[Edge, Edge]]
CELLS = ("normal", "reduction")


def identity(planner: Planner, value: int, stride: int) -> int:
    return value if stride == 1 else halve(planner, value, planner.shape(value).channels)


def conv(planner: Planner, value: int, stride: int, *, kernel: int) -> int:
    return planner.activate_conv_norm(value, planner.shape(value).channels, kernel, stride)


def conv_pair(planner: Planner, value: int, stride: int, *, kernel: int) -> int:
    """LReLU, 1 x k and k x 1 convolution, BN.

    Nothing stands between the convolutions ("LReLU-conv-BN", Such et al. 2020), so that together they are one linear
    k x k convolution; NAO's code has BN and ReLU between them.
    """
    channels = planner.shape(value).channels
    value = planner.conv(planner.activate(value), channels, (1, kernel), (1, stride))
    return planner.norm(planner.conv(value, channels, (kernel, 1), (stride, 1)))


def pool(planner: Planner, value: int, stride: int, *, pooling: Callable[[int], Pool]) -> int:
    return planner.add(pooling(stride), value)


OPERATIONS: dict[str, Callable[[Planner, int, int], int]] = {
    "identity": identity,
    "conv_1x1": partial(conv, kernel=1),
    "conv_3x3": partial(conv, kernel=3),
    "conv_1x3_3x1": partial(conv_pair, kernel=3),
    "conv_1x7_7x1": partial(conv_pair, kernel=7),
    "max_pool_2x2": partial(pool, pooling=partial(Pool, "max", 2)),
    "max_pool_3x3": partial(pool, pooling=partial(Pool, "max", 3)),
    "max_pool_5x5": partial(pool, pooling=partial(Pool, "max", 5)),
    "avg_pool_2x2": partial(pool, pooling=partial(Pool, "avg", 2)),
    "avg_pool_3x3": partial(pool, pooling=partial(Pool, "avg", 3)),
    "avg_pool_5x5": partial(pool, pooling=partial(Pool, "avg", 5)),
}
"""The 11 operations: (planner, value, stride) -> value, channels kept."""


class NaoCells(Space):
    """A normal and a reduction cell; a node adds two operations on earlier states; loose ends are concatenated.

    Specification: {"normal": nodes, "reduction": nodes}, a node being [[state, operation], [state, operation]].
    The network: stem of 3F channels, 3N + 2 cells, those at N and 2N + 1 reductions with twice the channels.
    """

    name: ClassVar[str] = "nao_cell"
    weight_norm: ClassVar[bool] = False

    def __init__(self, section: NaoCellSpace, image: ImageShape, classes: int) -> None:
        super().__init__(image, classes)
        self.cells, self.filters, self.nodes = section.cells, section.filters, section.nodes

    def sample(self, rng: np.random.Generator) -> Architecture:
        return self.architecture({kind: [self._sample_node(i, rng) for i in range(self.nodes)] for kind in CELLS})

    def _sample_node(self, index: int, rng: np.random.Generator) -> list[list[int | str]]:
        names = list(OPERATIONS)
        return [[int(rng.integers(index + 2)), names[rng.integers(len(names))]] for _ in range(2)]

    def draw(self, arch: Architecture) -> str:
        spec = self.canonical(arch).spec
        width, height = cell_size(2, [2] * self.nodes)
        return draw_cells([(f"{kind} cell", _draw(_read(spec[kind]))) for kind in CELLS], width, height)

    def _validate_spec(self, spec: Spec) -> None:
        check_keys(self.name, spec, frozenset(CELLS))
        for kind in CELLS:
            if not isinstance(spec[kind], list | tuple) or len(spec[kind]) != self.nodes:
                raise ArchitectureError(f"nao_cell: {kind} = {spec[kind]!r}", remedy=f"Give a list of {self.nodes}.")
            for index, node in enumerate(spec[kind]):
                _validate_node(f"nao_cell: {kind}[{index}]", node, index)

    def _changes(self, spec: Spec) -> Iterator[Spec]:
        """Another operation, or another state taken, at one edge of one cell."""
        for kind in CELLS:
            for index, node in enumerate(spec[kind]):
                for side, (state, op) in enumerate(node):
                    others = [[state, name] for name in OPERATIONS if name != op]
                    others += [[other, op] for other in range(index + 2) if other != state]
                    for edge in others:
                        changed = [edge, node[1]] if side == 0 else [node[0], edge]
                        yield {**spec, kind: [*spec[kind][:index], changed, *spec[kind][index + 1 :]]}

    def _canonical_spec(self, spec: Spec) -> Spec:
        return {kind: [[list(edge) for edge in node] for node in _smallest_order(_read(spec[kind]))] for kind in CELLS}

    def _lay(self, planner: Planner, spec: Spec) -> Trunk:
        count, channels = 3 * self.cells + 2, self.filters
        before = last = planner.norm(planner.conv(0, 3 * self.filters, 3))
        early = None
        for index in range(count):
            reduction = index in (self.cells, 2 * self.cells + 1)
            channels *= 2 if reduction else 1
            cell, depth = _read(spec[CELLS[reduction]]), (index + 1) / count
            before, last = last, lay_cell(planner, cell, calibrate(planner, before, last, channels), reduction, depth)
            early = last if index == 2 * self.cells + 1 else early
        return Trunk(planner.add(Average(), planner.activate(last)), early)


def lay_cell(planner: Planner, cell: Cell, states: list[int], reduction: bool, depth: float) -> int:
    """One cell upon two calibrated states; in a reduction cell what is taken of these two is halved in size."""
    for node in cell:
        ends = []
        for state, name in node:
            stride = 2 if reduction and state < 2 else 1
            end = OPERATIONS[name](planner, states[state], stride)
            ends.append(end if name == "identity" else planner.add(DropPath(depth), end))
        states.append(planner.sum(ends))
    loose = loose_ends(cell)
    return planner.concat([identity(planner, states[i], 2 if reduction and i < 2 else 1) for i in loose])


def calibrate(planner: Planner, before: int, last: int, channels: int) -> list[int]:
    """Brings both inputs of a cell to the size of the last one and to `channels`."""
    if planner.shape(before).height != planner.shape(last).height or (
        planner.shape(before).width != planner.shape(last).width
    ):
        before = halve(planner, before, channels)
    return [
        value if planner.shape(value).channels == channels else planner.activate_conv_norm(value, channels, 1)
        for value in (before, last)
    ]


def halve(planner: Planner, value: int, channels: int) -> int:
    """Factorised reduction: two strided 1x1 convolutions, one of them on shifted pixels, each half of `channels`."""
    value = planner.activate(value)
    ways = [planner.conv(value, channels - channels // 2, 1, 2)]
    ways.append(planner.conv(planner.add(Shift(), value), channels // 2, 1, 2))
    return planner.norm(planner.concat(ways))


def loose_ends(cell: Cell) -> list[int]:
    """The states, inputs included, that no node takes."""
    taken = {state for node in cell for state, _ in node}
    return [state for state in range(len(cell) + 2) if state not in taken]


def _read(nodes: list[list[list[int | str]]]) -> Cell:
    return [((int(a[0]), str(a[1])), (int(b[0]), str(b[1]))) for a, b in nodes]


def _validate_node(where: str, node: object, index: int) -> None:
    if not isinstance(node, list | tuple) or len(node) != 2:
        raise ArchitectureError(f"{where} = {node!r}", remedy="Give two edges [state, operation].")
    for side, edge in enumerate(node):
        if not isinstance(edge, list | tuple) or len(edge) != 2:
            raise ArchitectureError(f"{where}[{side}] = {edge!r}", remedy="Give [state, operation].")
        check_choice(f"{where}[{side}] takes state", edge[0], tuple(range(index + 2)))
        check_choice(f"{where}[{side}] operation", edge[1], tuple(OPERATIONS))


def _smallest_order(cell: Cell) -> Cell:
    """The cell with edges of a node sorted and nodes renumbered, in the least of all topological orders.

    Nodes are placed one by one: of those whose inputs are placed, the one that reads least comes next. Equal ones
    are tried in turn, so isomorphic cells, and only they, end alike.
    """

    def orders(placed: dict[int, int], done: Cell) -> Iterator[Cell]:
        if len(done) == len(cell):
            yield done
            return
        ready = {
            index: _renumbered(node, placed)
            for index, node in enumerate(cell)
            if index + 2 not in placed and all(state in placed for state, _ in node)
        }
        least = min(ready.values())
        for index, node in ready.items():
            if node == least:
                yield from orders({**placed, index + 2: len(done) + 2}, [*done, node])

    return min(orders({0: 0, 1: 1}, []))


def _renumbered(node: tuple[Edge, Edge], placed: dict[int, int]) -> tuple[Edge, Edge]:
    first, second = sorted((placed[state], op) for state, op in node)
    return first, second


def _draw(cell: Cell) -> str:
    nodes = [DrawnNode(tuple((state, _caption(op)) for state, op in node)) for node in cell]
    return cell_body(("c[k-2]", "c[k-1]"), nodes, loose_ends(cell), "concat")


def _caption(op: str) -> str:
    """Short enough for a box: "conv 3x3", "1x7 7x1", "max 2x2"."""
    kind, *sizes = op.replace("_pool", "").split("_")
    return " ".join(sizes if len(sizes) == 2 else [kind, *sizes])
