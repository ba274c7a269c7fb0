"""The cells of NAS-Bench-201: strings, size, and which of them are one function."""

import gzip
import itertools
from pathlib import Path

import numpy as np
import pytest

from gtn_hpc.config.searching import NasBench201Space
from gtn_hpc.core.records import ImageShape
from gtn_hpc.spaces import make_space
from gtn_hpc.spaces.nasbench201 import OPERATIONS, canonical_cells, read_cell, write_cell
from gtn_hpc.spaces.nasbench201_function import EDGES

TABLE = Path(__file__).parents[3] / "shared" / "data" / "nasbench201_mini.csv.gz"
SPACE = make_space(NasBench201Space(), ImageShape(3, 32, 32), 10)
CONV, CONV1, POOL, SKIP, NONE = "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3", "skip_connect", "none"
WEIGHTS = {op: np.random.default_rng(7).normal(size=(6, 5, 5)) + offset for offset, op in enumerate((CONV1, CONV))}
POOLING = np.random.default_rng(8).normal(size=(5, 5))
X = np.random.default_rng(9).normal(size=5)


def canonical(cell: tuple[str, ...]) -> tuple[str, ...]:
    return read_cell(SPACE.canonical(SPACE.architecture({"cell": write_cell(cell)})).spec["cell"])


def convolutions(cell: tuple[str, ...]) -> list[int]:
    return [edge for edge, op in enumerate(cell) if op in (CONV, CONV1)]


def compute(cell: tuple[str, ...], weights: dict[int, int]) -> np.ndarray:
    """The cell on a vector, edge by edge, with a nonlinear map for each convolution and a linear one for pooling."""
    states = [X] + [np.zeros(5) for _ in range(3)]
    for edge, ((source, to), op) in enumerate(zip(EDGES, cell, strict=True)):
        x = states[source]
        if op == SKIP:
            states[to] = states[to] + x
        elif op == POOL:
            states[to] = states[to] + POOLING @ x
        elif op != NONE:
            states[to] = states[to] + WEIGHTS[op][weights[edge]] @ np.where(x > 0, x, 0.1 * x)
    return states[3]


def same_function(big: tuple[str, ...], small: tuple[str, ...]) -> bool:
    """Whether the convolutions of `small` can be given weights of `big` so that both compute the same."""
    mine, theirs = convolutions(big), convolutions(small)
    target = compute(big, {edge: number for number, edge in enumerate(mine)})
    numbers = itertools.permutations(range(len(mine)), len(theirs))
    return any(np.allclose(target, compute(small, dict(zip(theirs, choice, strict=True)))) for choice in numbers)


def random_cells(count: int, seed: int) -> list[tuple[str, ...]]:
    rng = np.random.default_rng(seed)
    return [tuple(OPERATIONS[i] for i in rng.integers(5, size=6)) for _ in range(count)]


def test_a_cell_and_its_canonical_form_compute_the_same_function():
    cells = random_cells(250, 0)
    assert sum(canonical(cell) != cell for cell in cells) > 100
    for cell in cells:
        assert same_function(cell, canonical(cell)), cell


def test_canonical_cells_that_differ_compute_different_functions():
    forms = sorted({canonical(cell) for cell in random_cells(400, 1)})
    pairs = [
        (a, b)
        for a, b in itertools.combinations(forms, 2)
        if sorted(a[e] for e in convolutions(a)) == sorted(b[e] for e in convolutions(b)) and len(convolutions(a)) <= 3
    ]
    assert len(pairs) > 500
    for a, b in pairs[:: len(pairs) // 500]:
        assert not same_function(a, b), (a, b)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((CONV, NONE, SKIP, NONE, NONE, SKIP), (NONE, NONE, NONE, CONV, NONE, NONE)),  # skips only route
        ((CONV, CONV1, NONE, NONE, CONV, SKIP), (CONV1, CONV, NONE, NONE, SKIP, CONV)),  # states 1 and 2 renamed
        ((CONV, NONE, NONE, SKIP, NONE, NONE), (NONE, CONV1, NONE, SKIP, NONE, NONE)),  # dead ends
        ((NONE, NONE, CONV, NONE, CONV1, POOL), (NONE,) * 6),  # nothing reaches the end
        ((SKIP, SKIP, NONE, NONE, POOL, NONE), (NONE, NONE, NONE, POOL, NONE, NONE)),
        ((SKIP, CONV, SKIP, NONE, NONE, POOL), (POOL, CONV, NONE, NONE, SKIP, POOL)),  # pooling is linear
    ],
)
def test_cells_of_one_function_merge(one, other):
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((CONV, NONE, SKIP, NONE, SKIP, SKIP), (CONV, CONV, NONE, NONE, SKIP, SKIP)),  # one convolution twice, or two
        ((NONE, NONE, NONE, SKIP, NONE, NONE), (SKIP, NONE, NONE, SKIP, SKIP, NONE)),  # x and 2x
        ((CONV, NONE, NONE, NONE, CONV1, NONE), (CONV1, NONE, NONE, NONE, CONV, NONE)),  # order of convolutions
        ((POOL, NONE, NONE, NONE, CONV, NONE), (CONV, NONE, NONE, NONE, POOL, NONE)),
    ],
)
def test_cells_of_different_functions_do_not_merge(one, other):
    assert canonical(one) != canonical(other)


def test_canonical_cells_have_no_edge_that_could_be_left_out():
    for cell in random_cells(60, 2):
        form = canonical(cell)
        for edge in range(6):
            if form[edge] != NONE:
                assert canonical((*form[:edge], NONE, *form[edge + 1 :])) != form


def test_the_whole_space_has_5044_functions():
    assert len(set(canonical_cells().values())) == 5044


def test_size_of_the_networks_is_that_of_the_benchmark():
    smallest, largest = (SPACE.architecture({"cell": write_cell((op,) * 6)}) for op in (SKIP, CONV))
    assert (SPACE.params(smallest), SPACE.params(largest)) == (73_306, 1_531_546)
    assert SPACE.flops(largest) / 2 == pytest.approx(220.12e6, rel=1e-4)


@pytest.mark.skipif(not TABLE.exists(), reason=f"the NAS-Bench-201 table is not at {TABLE}")
def test_every_cell_string_of_the_table_is_read_and_written_back():
    with gzip.open(TABLE, "rt") as lines:
        column = next(lines).split(",").index("cellstr")
        strings = [line.split(",")[column] for line in lines]
    assert len(set(strings)) == len(strings) > 1000
    for text in strings:
        assert write_cell(read_cell(text)) == text
