"""Properties that hold for random architectures of every space."""

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtn_hpc.config.searching import ChainSpace, ConvSpace, NaoCellSpace, NasBench201Space
from gtn_hpc.core.errors import ArchitectureError, ConfigError, DataError
from gtn_hpc.core.records import Architecture, ImageShape
from gtn_hpc.spaces import Space, make_space

SECTIONS = [ConvSpace(), ChainSpace(), NaoCellSpace(cells=1, filters=4), NasBench201Space(cells=1, filters=4)]
SPACES = [make_space(section, ImageShape(1, 8, 8), 10) for section in SECTIONS]
every_space = pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=25, deadline=None)


def differences(a: object, b: object) -> int:
    """How many leaves, list lengths or kinds differ between two JSON values."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return sum(differences(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return sum(differences(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, str) and "|" in a:
        return differences(a.split("|"), b.split("|"))
    return int(a != b)


def walk(space: Space, seed: int) -> tuple[Architecture, Architecture, np.random.Generator]:
    """An architecture some mutations away from a sample, and its next mutation."""
    rng = np.random.default_rng(seed)
    arch = space.sample(rng)
    for _ in range(rng.integers(3)):
        arch = space.mutate(arch, rng)
    return arch, space.mutate(arch, rng), rng


@every_space
@given(seed=seeds)
@few
def test_mutation_is_valid_and_changes_one_thing(space, seed):
    arch, mutated, _ = walk(space, seed)
    space.validate(mutated)
    assert space.canonical(mutated).digest != space.canonical(arch).digest
    if space.name == "chain":
        assert one_layer_edit(arch.spec, mutated.spec)
    else:
        assert differences(arch.spec, mutated.spec) == 1


def one_layer_edit(before: dict, after: dict) -> bool:
    a, b = before["layers"], after["layers"]
    if before["head"] != after["head"]:
        return a == b
    if len(a) == len(b):
        changed = [(x, y) for x, y in zip(a, b, strict=True) if x != y]
        return len(changed) == 1 and (changed[0][0].keys() != changed[0][1].keys() or differences(*changed[0]) == 1)
    short, long = sorted((a, b), key=len)
    return any(long[:i] + long[i + 1 :] == short for i in range(len(long)))


@every_space
@given(seed=seeds)
@few
def test_canonical_form_is_idempotent_and_survives_json(space, seed):
    arch, mutated, _ = walk(space, seed)
    for one in (arch, mutated):
        canonical = space.canonical(one)
        space.validate(canonical)
        assert space.canonical(canonical) == canonical
        again = Architecture.from_json(one.to_json())
        assert again == one
        assert space.canonical(again).digest == canonical.digest
        assert (space.params(one), space.flops(one)) == (space.params(canonical), space.flops(canonical))


@every_space
@given(seed=seeds)
@few
def test_drawing_is_a_small_svg_without_colours_of_its_own(space, seed):
    _, arch, _ = walk(space, seed)
    drawing = space.draw(arch)
    root = ElementTree.fromstring(drawing)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    paints = {e.get(key) for e in root.iter() for key in ("fill", "stroke")} - {None}
    assert paints == {"none", "currentColor"}
    assert len(drawing) < 8000
    _, _, width, height = map(float, root.get("viewBox").split())
    for box in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(box.get("x")) + float(box.get("width")) <= width
        assert float(box.get("y")) + float(box.get("height")) <= height


@every_space
def test_neighbours_are_other_networks_once_each_and_mutation_draws_from_them(space):
    arch = space.sample(np.random.default_rng(1))
    around = [space.canonical(neighbour).digest for neighbour in space.neighbours(arch)]
    assert len(set(around)) == len(around) > 10
    assert space.canonical(arch).digest not in around
    mutants = {space.canonical(space.mutate(arch, np.random.default_rng(seed))).digest for seed in range(20)}
    assert mutants <= set(around)
    assert len(mutants) > 1


@every_space
def test_sampling_depends_on_the_generator_alone(space):
    first, again, other = (space.sample(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first == again != other


def test_a_space_of_one_architecture_mutates_to_itself():
    space = make_space(ConvSpace(widths=((8, 9), (8, 9), (8, 9))), ImageShape(1, 8, 8), 10)
    arch = space.sample(np.random.default_rng(0))
    assert space.mutate(arch, np.random.default_rng(0)) == arch


def test_digests_are_those_of_earlier_versions():
    rng = np.random.default_rng(0)
    assert [space.canonical(space.sample(rng)).digest for space in SPACES] == PINNED


PINNED = ["35599293c103f068", "3790760db058ad9f", "7d7334760b5d48f1", "cf7b3bfe980dbff6"]


node = [[0, "identity"], [1, "conv_3x3"]]
conv3 = {"op": "conv3", "width": 8, "stride": 1, "norm": True}


@pytest.mark.parametrize(
    ("name", "spec", "words"),
    [
        ("conv", {"widths": [32, 64]}, "three widths"),
        ("conv", {"widths": [32, 64, True]}, "64 to 255"),
        ("conv", {"widths": [32, 64, 256]}, r"widths\[2\] = 256"),
        ("conv", {"width": [32, 64, 64]}, "exactly: widths"),
        ("conv", [32], r"not a mapping\n.*architectures --json"),
        ("chain", {"layers": [], "head": "average"}, "1 to 6"),
        ("chain", {"layers": [conv3], "head": "max"}, "Valid: average, flatten"),
        ("chain", {"layers": [conv3, {**conv3, "op": "conv7"}], "head": "average"}, r"layers\[1\].op.*conv7"),
        ("chain", {"layers": [{**conv3, "width": 9}], "head": "average"}, "Valid: 8, 16, 32, 64"),
        ("chain", {"layers": [{**conv3, "norm": 1}], "head": "average"}, "Valid: True, False"),
        ("chain", {"layers": [{**conv3, "stride": 3}], "head": "average"}, "Valid: 1, 2"),
        ("chain", {"layers": [{**conv3, "op": "max_pool"}], "head": "average"}, "exactly: op, stride"),
        ("chain", {"layers": ["conv3"], "head": "average"}, "op: None"),
        ("nao_cell", {"normal": [node] * 5}, "exactly: normal, reduction"),
        ("nao_cell", {"normal": [node] * 5, "reduction": [node] * 4}, "list of 5"),
        ("nao_cell", {"normal": [node] * 5, "reduction": [node] * 4 + [[0]]}, r"reduction\[4\] = \[0\]"),
        ("nao_cell", {"normal": [[[2, "identity"], node[1]]] * 5, "reduction": [node] * 5}, r"normal\[0\]\[0\].*: 2"),
        ("nao_cell", {"normal": [[node[0], [1, "conv_9x9"]]] * 5, "reduction": [node] * 5}, "Valid: identity"),
        ("nao_cell", {"normal": [[node[0], 3]] * 5, "reduction": [node] * 5}, "state, operation"),
        ("nasbench201", {"cell": "|none~0|"}, "a string like"),
        ("nasbench201", {"cell": None}, "a string like"),
        ("nasbench201", {"cell": "|none~0|+|none~0|none~1|+|none~0|none~2|none~1|"}, "a string like"),
        ("nasbench201", {"cell": "|none~0|+|none~0|conv~1|+|none~0|none~1|none~2|"}, "operation 3.*Valid: none"),
    ],
)
def test_what_is_not_valid_is_refused_with_the_place_and_the_valid_values(name, spec, words):
    space = next(space for space in SPACES if space.name == name)
    for use in (space.validate, space.canonical, space.params, space.draw):
        with pytest.raises(ArchitectureError, match=f"(?s){words}"):
            use(Architecture(name, spec))


def test_architectures_of_another_space_and_impossible_sections_are_refused():
    with pytest.raises(ArchitectureError, match=r"'chain' in space 'conv'\n.*search\.space\.name=chain"):
        SPACES[0].validate(SPACES[1].sample(np.random.default_rng(0)))
    with pytest.raises(DataError, match="8x8"):
        make_space(ConvSpace(), ImageShape(1, 8, 7), 10)
    with pytest.raises(ConfigError, match="low < high"):
        make_space(ConvSpace(widths=((8, 8), (8, 9), (8, 9))), ImageShape(1, 8, 8), 10)
