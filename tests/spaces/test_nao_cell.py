"""The NAO cell: which cells are the same, and the network they make."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gtn_hpc.config.searching import NaoCellSpace
from gtn_hpc.core.records import Architecture, ImageShape
from gtn_hpc.spaces import make_space
from gtn_hpc.spaces.nao_cell import OPERATIONS
from gtn_hpc.spaces.plan import Concat, Conv

IMAGE = ImageShape(3, 32, 32)
SPACE = make_space(NaoCellSpace(cells=2, filters=8), IMAGE, 10)


def shuffled(nodes: list, rng: np.random.Generator) -> list:
    """The same cell with nodes in a random topological order and edges of nodes swapped at random."""
    placed, order = {0: 0, 1: 1}, []
    while len(order) < len(nodes):
        ready = [i for i, n in enumerate(nodes) if i + 2 not in placed and all(s in placed for s, _ in n)]
        chosen = int(rng.choice(ready))
        edges = [[placed[state], op] for state, op in nodes[chosen]]
        order.append(edges[::-1] if rng.integers(2) else edges)
        placed[chosen + 2] = len(order) + 1
    return order


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_renumbered_cells_merge(seed):
    rng = np.random.default_rng(seed)
    arch = SPACE.sample(rng)
    other = Architecture(arch.space, {kind: shuffled(nodes, rng) for kind, nodes in arch.spec.items()})
    assert SPACE.canonical(other).digest == SPACE.canonical(arch).digest


def signature(nodes: list) -> frozenset:
    """All numberings of a cell, by trying every permutation of its nodes."""
    found = set()
    for order in itertools.permutations(range(len(nodes))):
        number = {0: 0, 1: 1} | {node + 2: place + 2 for place, node in enumerate(order)}
        found.add(tuple(tuple(sorted((number[s], op) for s, op in nodes[node])) for node in order))
    return frozenset(found)


def test_cells_that_merge_are_renumberings_of_each_other():
    small = make_space(NaoCellSpace(nodes=3), IMAGE, 10)
    rng = np.random.default_rng(0)
    few = list(OPERATIONS)[:2]
    cells = [[[[int(rng.integers(i + 2)), few[rng.integers(2)]] for _ in "ab"] for i in range(3)] for _ in range(300)]
    forms = {}
    for cell in cells:
        arch = Architecture("nao_cell", {"normal": cell, "reduction": cells[0]})
        forms.setdefault(small.canonical(arch).digest, set()).add(signature(cell))
    assert len(forms) < len({str(cell) for cell in cells})
    assert all(len(signatures) == 1 for signatures in forms.values())
    assert len(set.union(*forms.values())) == len(forms)


def test_mirrored_inputs_are_another_cell():
    node = [[[0, "identity"], [0, "conv_3x3"]]] * 5
    mirror = [[[1, "identity"], [1, "conv_3x3"]]] * 5
    one, other = (Architecture("nao_cell", {"normal": cell, "reduction": node}) for cell in (node, mirror))
    assert SPACE.canonical(one).digest != SPACE.canonical(other).digest


def chain_of_convs() -> Architecture:
    """Node i takes node i - 1 twice; input 0 and the last node are loose."""
    cell = [[[i + 1, "conv_3x3"], [i + 1, "max_pool_2x2"]] for i in range(5)]
    return Architecture("nao_cell", {"normal": cell, "reduction": cell})


def test_the_network_has_3N_plus_2_cells_with_reductions_at_N_and_2N_plus_1():
    plan = SPACE.plan(chain_of_convs())
    assert (plan.steps[0].layer.outputs, plan.steps[0].shape.height) == (24, 32)
    joined = [step.shape for step in plan.steps if isinstance(step.layer, Concat) and len(step.inputs) == 2]
    sizes = [shape.height for shape in joined if shape.channels in (16, 32, 64)]
    cells = [shape for shape in joined if shape.channels == 2 * {32: 8, 16: 16, 8: 32}[shape.height]]
    assert len(cells) == 8
    assert [shape.height for shape in cells] == [32, 32, 16, 16, 16, 8, 8, 8]
    assert sizes[0] == 32
    convs = [step.shape for step in plan.steps if isinstance(step.layer, Conv) and step.layer.kernel == (3, 3)][1:]
    assert [shape.channels for shape in convs[::5]] == [8, 8, 16, 16, 16, 32, 32, 32]


def test_size_grows_with_N_and_F_but_not_the_identity():
    arch = chain_of_convs()
    bigger = make_space(NaoCellSpace(cells=3, filters=16), IMAGE, 10)
    assert bigger.params(arch) > 4 * SPACE.params(arch)
    assert bigger.canonical(arch).digest == SPACE.canonical(arch).digest
