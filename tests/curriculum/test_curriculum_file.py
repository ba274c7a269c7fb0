"""The curriculum file: what goes in comes out, damage is refused, and a digest stands for the values."""

import hashlib
from dataclasses import asdict

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gtn_hpc import storage
from gtn_hpc.config.teaching import Inner
from gtn_hpc.core.errors import DataError, StorageError
from gtn_hpc.core.records import ImageShape
from gtn_hpc.curriculum import file
from gtn_hpc.curriculum.file import Description
from gtn_hpc.curriculum.fitting import require_fit
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.curriculum.parts import SCHEMA
from gtn_hpc.storage import Column
from gtn_hpc.training.header import read_header

T, B, K = 3, 4, 2
DESCRIPTION = Description(
    data="digits", mean=(0.3,), std=(0.2,), optimiser={"optimiser": "sgd"}, learners=("conv2-fc",), arm="full"
)


def frozen(order="fixed", cycle=None):
    draw = torch.Generator().manual_seed(1)
    y = torch.rand(T, B, K, generator=draw)
    return Frozen(
        torch.randn(T, B, 1, 8, 8, generator=draw),
        y / y.sum(2, keepdim=True),
        torch.rand(T, generator=draw),
        torch.rand(T, generator=draw),
        order,
        cycle,
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "teacher.h5"


@pytest.mark.parametrize("order", ["fixed", "batches", "all"])
def test_what_goes_in_comes_out(path, order):
    file.write(path, frozen(order), DESCRIPTION, config="run: {name: a}")
    found = file.read(path)
    assert torch.equal(found.frozen.x, frozen().x)
    assert torch.equal(found.frozen.y, frozen().y)
    assert all(map(torch.equal, found.frozen.schedule.table(), frozen().schedule.table()))
    assert found.frozen.order == order
    assert asdict(found.description) == asdict(DESCRIPTION)
    assert found.config == "run: {name: a}"
    assert found.digest == frozen(order).digest()
    assert (found.image, found.classes) == (ImageShape(1, 8, 8), K)


def test_float16_rounds_the_images_alone_and_halves_them(path, tmp_path):
    file.write(path, frozen(), DESCRIPTION, config="", dtype="float16")
    found = file.read(path)
    assert torch.equal(found.frozen.x, frozen().x.half().float())
    assert torch.equal(found.frozen.y, frozen().y)
    assert found.digest != frozen().digest()
    assert storage.read(path, "/", ["x"])["x"].dtype == np.float16


def test_another_program_reads_names_units_and_dimensions(path):
    file.write(path, frozen(), DESCRIPTION, config="")
    with h5py.File(path) as opened:
        assert opened["x"].shape == (T, B, 1, 8, 8)
        assert [dimension[0].name for dimension in opened["y"].dims] == ["/step", "/image", "/class"]
        assert opened.attrs["schema_kind"] == "curriculum"
        assert opened.attrs["order"] == "fixed"


@given(
    part=st.sampled_from(["x", "y", "lr", "momentum"]),
    place=st.integers(0, 10_000),
    by=st.sampled_from([1e-6, -1e-3, 1.0]),
)
def test_the_digest_changes_with_any_value(part, place, by):
    values = dict(zip(("x", "y", "lr", "momentum"), (frozen().x, frozen().y, *frozen().schedule.table()), strict=True))
    changed = values[part].clone()
    changed.view(-1)[place % changed.numel()] += by
    assert Frozen(**(values | {part: changed}), order="fixed").digest() != frozen().digest()


def test_the_digest_changes_with_the_order():
    assert len({frozen(order).digest() for order in ("fixed", "batches", "all")}) == 3


@pytest.mark.parametrize(("order", "cycle"), [("batches", 2), ("all", 1)])
def test_a_shuffled_cycle_is_told_and_in_the_digest(path, order, cycle):
    file.write(path, frozen(order, cycle), DESCRIPTION, config="")
    found = file.read(path)
    with storage.open_file(path) as opened:
        assert opened.attributes["cycle"] == found.frozen.cycle == cycle
    assert found.digest == frozen(order, cycle).digest() != frozen(order).digest()
    assert frozen("batches", 2).digest() != frozen("batches", 1).digest()


@pytest.mark.parametrize(("order", "cycle"), [("fixed", None), ("fixed", 2), ("all", None), ("all", T)])
def test_a_cycle_that_changes_nothing_is_neither_told_nor_in_the_digest(path, order, cycle):
    file.write(path, frozen(order, cycle), DESCRIPTION, config="")
    found = hashlib.sha256(f"{order}/[{T}, {B}, 1, 8, 8]/[{T}, {B}, {K}]".encode())
    for values in (frozen().x, frozen().y, *frozen().schedule.table()):
        found.update(values.numpy().tobytes())
    assert file.read(path).digest == found.hexdigest()
    with storage.open_file(path) as opened:
        assert "cycle" not in opened.attributes


def columns(**changes):
    lr, momentum = frozen().schedule.table()
    values = {"x": frozen().x, "y": frozen().y, "lr": lr, "momentum": momentum}
    values |= changes
    return {
        name: Column(np.asarray(value), dims=tuple(f"{name}_{axis}" for axis in range(value.dim())))
        for name, value in values.items()
    }


@pytest.mark.parametrize(
    ("changes", "attributes", "said"),
    [
        ({"lr": torch.ones(T + 1)}, {}, "do not fit"),
        ({"y": torch.ones(T, B + 1, K)}, {}, "do not fit"),
        ({"x": torch.ones(T, B, 8, 8)}, {}, "do not fit"),
        ({}, {"order": "backwards"}, "order"),
        ({}, {"cycle": T + 1}, "'cycle' is 4"),
        ({}, {"order": "all", "cycle": 0}, "'cycle' is 0"),
        ({}, {"order": "all", "cycle": "2"}, "'cycle' is '2'"),
        ({"x": torch.full((T, B, 1, 8, 8), float("nan"))}, {}, "not finite"),
        ({}, {"digest": "0" * 64}, "digest"),
    ],
    ids=["rate", "labels", "images", "order", "cycle", "no cycle", "word", "nan", "digest"],
)
def test_parts_that_do_not_fit_are_refused(path, changes, attributes, said):
    storage.write(path, {"/": columns(**changes)}, {"order": "fixed"} | attributes, schema=SCHEMA)
    with pytest.raises(StorageError, match=said):
        file.read(path)


def by_hand(path, changes=None, attributes=None):
    """A file as another program may write it; a change of None leaves the dataset out."""
    lr, momentum = frozen().schedule.table()
    values = {"x": frozen().x, "y": frozen().y, "lr": lr, "momentum": momentum} | (changes or {})
    with h5py.File(path, "w") as opened:
        for name, value in values.items():
            if value is not None:
                opened[name] = np.asarray(value)
        opened.attrs.update({"schema_kind": "curriculum", "schema_version": 1, "order": "fixed"} | (attributes or {}))


def changed(name, value, place):
    values = {"x": frozen().x, "y": frozen().y, **dict(zip(("lr", "momentum"), frozen().schedule.table(), strict=True))}
    values[name][place] = value
    return {name: values[name]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x": np.zeros((0, B, 1, 8, 8), "f4"), "y": np.zeros((0, B, K), "f4"), "lr": np.zeros(0, "f4"),
          "momentum": np.zeros(0, "f4")}, "hold nothing"),
        ({"lr": np.float32(0.1)}, r"lr \(\).*do not fit"),
        ({"lr": None}, "lacks the dataset lr"),
        ({"lr": None, "y": None}, "lacks the dataset y, lr"),
        ({"x": np.zeros((T, B, 1, 8, 8), np.uint8)}, "'x' is of type uint8, not floats"),
        ({"lr": np.array([b"fast"] * T)}, "'lr' is of type .*, not numbers"),
        (changed("x", float("inf"), (1, 2, 0, 3, 4)), r"x is inf \(not finite\) at \[1, 2, 0, 3, 4\]; 1 such"),
        ({"x": np.full((T, B, 1, 8, 8), 1e300)}, "x is inf"),
        (changed("y", float("nan"), (0, 1, 1)), r"y is nan \(not finite\) at \[0, 1, 1\]"),
        (changed("lr", float("nan"), 2), r"lr is nan \(not finite\) at \[2\]"),
        (changed("y", torch.tensor([-0.5, 1.5]), (1, 1)), r"y is -0.5 at \[1, 1, 0\]"),
        (changed("y", 1.0, (2, 3)), r"y summed over classes is 2 at \[2, 3\]"),
        (changed("lr", -0.1, 1), r"lr is -0.1 at \[1\]"),
        (changed("momentum", 1.0, 0), r"momentum is 1 at \[0\]"),
        (changed("momentum", -0.5, 0), r"momentum is -0.5 at \[0\]"),
    ],
)  # fmt: skip
def test_values_that_mean_nothing_are_told_by_name_and_place(path, changes, said):
    by_hand(path, changes)
    with pytest.raises(StorageError, match=said) as refused:
        file.read(path)
    assert "Export it again" not in refused.value.remedy
    with pytest.raises(StorageError, match=said):
        read_header(path, Inner())


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"mean": "x"}, "'mean' is 'x'"),
        ({"mean": [0.1, 0.2]}, r"'mean' is \[0.1, 0.2\]"),
        ({"std": 0.0}, "'std' is 0.0"),
        ({"optimiser": 5}, "'optimiser' is not a section inner"),
        ({"learners": 5}, "'learners' is not a list"),
        ({"environment": "here"}, "'environment' is not a mapping"),
        ({"schema_version": "one"}, "'schema_version' is 'one'"),
    ],
)
def test_attributes_that_mean_nothing_are_told_by_name(path, attributes, said):
    by_hand(path, attributes=attributes)
    with pytest.raises(StorageError, match=said) as refused:
        file.read(path)
    assert refused.value.remedy


def test_whole_numbers_and_half_precision_are_values_as_well(path):
    by_hand(path, {"x": frozen().x.double(), "y": np.eye(K, dtype=np.uint8)[np.zeros((T, B), int)]})
    assert torch.equal(file.read(path).frozen.x, frozen().x)
    by_hand(path, {"y": np.full((T, B, 3), 1 / 3, np.float16)}, {"mean": 0.5, "std": 0.2, "extra": 1})
    assert file.read(path).classes == read_header(path, Inner()).classes == 3


def test_a_set_distilled_elsewhere_needs_only_its_values(path):
    storage.write(path, {"/": columns()}, {"order": "all"}, schema=SCHEMA)
    found = file.read(path)
    assert found.digest == frozen("all").digest()
    assert found.description.optimiser == {}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("optimiser", "sgd", "'optimiser' is not a section inner as JSON"),
        ("optimiser", '{"optimiser": "lion"}', "'optimiser' is not a section inner as JSON"),
        ("learners", "conv5", "'learners' is not a list as JSON"),
    ],
)
def test_an_attribute_of_another_form_is_refused_in_words(path, name, value, words):
    storage.write(path, {"/": columns()}, {"order": "fixed", name: value}, schema=SCHEMA)
    with pytest.raises(StorageError, match=words) as refused:
        file.read(path)
    assert "Export it again" in refused.value.remedy


@pytest.mark.parametrize("missing", ["x", "y", "lr", "momentum"])
def test_a_missing_part_is_named(path, missing):
    parts = columns()
    del parts[missing]
    storage.write(path, {"/": parts}, {"order": "fixed"}, schema=SCHEMA)
    with pytest.raises(StorageError, match=missing):
        file.read(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_file_is_refused(path, share):
    file.write(path, frozen(), DESCRIPTION, config="")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(StorageError):
        file.read(path)


@given(place=st.floats(0, 1, exclude_max=True))
def test_a_changed_byte_is_refused(tmp_path_factory, place):
    path = tmp_path_factory.getbasetemp() / "flipped.h5"
    file.write(path, frozen(), DESCRIPTION, config="")
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(StorageError):
        file.read(path)


def test_scores_are_no_curriculum(path):
    storage.write(path, {"/": columns()}, {}, schema=storage.Schema("scores", 1))
    with pytest.raises(StorageError, match="scores"):
        file.read(path)


@pytest.mark.parametrize(("image", "classes"), [(ImageShape(1, 28, 28), K), (ImageShape(1, 8, 8), K + 1)])
def test_images_of_another_size_are_refused(path, image, classes):
    file.write(path, frozen(), DESCRIPTION, config="")
    found = file.read(path)
    require_fit(found, ImageShape(1, 8, 8), K, "digits")
    with pytest.raises(DataError, match=r"1x8x8 in 2 classes"):
        require_fit(found, image, classes, "other")
