"""Round trips, retention and every way in which a checkpoint can be bad."""

import json
import os
import random

import pytest
import torch

from gtn_hpc.checkpoint import latest, load, save
from gtn_hpc.checkpoint.writing import copied, write
from gtn_hpc.core.errors import CheckpointError


def state(seed):
    generator = torch.Generator().manual_seed(seed)
    return {
        "model": {"weight": torch.randn(5, 3, generator=generator), "half": torch.randn(4, generator=generator).half()},
        "optimiser": {"step": seed, "moments": [torch.randn(2, generator=generator, dtype=torch.float64), None]},
        "random": generator.get_state(),
        "pair": (torch.tensor(float("nan")), torch.tensor([1, 2], dtype=torch.int64)),
        3: {"lr": 0.1 + 0.2, "on": True, "name": "arm", "bytes": b"\0\xff"},
    }


def equal(a, b):
    if isinstance(a, torch.Tensor):
        same_kind = isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape
        return same_kind and a.contiguous().numpy().tobytes() == b.contiguous().numpy().tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_comes_back_bit_for_bit(tmp_path):
    meta = {
        "iteration": 7,
        "loss": 0.1 + 0.2,
        "tiny": 5e-324,
        "history": [1, 2.5, None, "ä"],
        "nested": {"a": {"b": True}},
    }
    path = save(tmp_path, 7, state(7), meta, keep=3)
    assert path == tmp_path / "step-000007"
    assert names(path) == ["manifest.json", "state.pt"]
    for loaded in (load(path), latest(tmp_path)):
        assert equal(loaded.tensors, state(7))
        assert (loaded.step, loaded.meta, loaded.path) == (7, meta, path)


def test_a_view_is_saved_alone_and_nothing_is_shared_with_the_live_state(tmp_path):
    base = torch.zeros(100_000)
    parameter = torch.nn.Parameter(torch.ones(3))
    path = save(tmp_path, 1, {"view": base[:2], "parameter": parameter}, {}, keep=1)
    assert (path / "state.pt").stat().st_size < 10_000
    base += 1
    loaded = load(path).tensors
    assert loaded["view"].tolist() == [0, 0]
    assert type(loaded["parameter"]) is torch.Tensor and not loaded["parameter"].requires_grad


def test_the_manifest_can_be_read_by_another_program(tmp_path):
    manifest = json.loads((save(tmp_path, 12, state(1), {"a": 1}, keep=1) / "manifest.json").read_text())
    assert manifest["schema"] == {"kind": "gtn_hpc checkpoint", "version": 1}
    assert manifest["step"] == 12 and manifest["meta"] == {"a": 1}
    assert len(manifest["files"]["state.pt"]["sha256"]) == 64


def test_keeps_the_newest_regular_one_beside_the_newest(tmp_path):
    for step in (5, 6, 7, 8):
        write(tmp_path, step, copied(state(step)), {}, keep=2, every=5)
    assert names(tmp_path) == ["step-000005", "step-000007", "step-000008"]
    assert latest(tmp_path, every=5).step == 5
    for step in (10, 11, 12):
        write(tmp_path, step, copied(state(step)), {}, keep=2, every=5)
    assert names(tmp_path) == ["step-000010", "step-000011", "step-000012"]
    (tmp_path / "step-000010" / "state.pt").write_bytes(b"damaged")
    assert latest(tmp_path, every=5) is None


def test_keeps_the_newest(tmp_path):
    for step in (1, 2, 10, 1_000_000, 1_000_001):
        save(tmp_path, step, state(step), {}, keep=3)
    assert names(tmp_path) == ["step-000010", "step-1000000", "step-1000001"]
    assert latest(tmp_path).step == 1_000_001


def test_a_step_saved_twice_is_the_second(tmp_path):
    save(tmp_path, 4, state(1), {}, keep=2)
    save(tmp_path, 4, state(2), {}, keep=2)
    assert names(tmp_path) == ["step-000004"]
    assert equal(latest(tmp_path).tensors, state(2))


def test_the_older_of_two_of_one_step_counts_until_the_newer_stands(tmp_path):
    save(tmp_path, 4, state(1), {}, keep=2).rename(tmp_path / "step-000004.replaced")
    assert equal(latest(tmp_path).tensors, state(1))
    save(tmp_path, 4, state(2), {}, keep=2)
    assert names(tmp_path) == ["step-000004"]


def test_leftovers_of_a_killed_save_are_cleaned(tmp_path):
    leftover = tmp_path / ".step-000003.0a1b2c3d.tmp"
    leftover.mkdir()
    (leftover / "state.pt").write_bytes(b"half")
    assert latest(tmp_path) is None
    save(tmp_path, 4, state(1), {}, keep=2)
    assert names(tmp_path) == ["step-000004"]


def test_nothing_there(tmp_path):
    assert latest(tmp_path) is None
    assert latest(tmp_path / "never") is None
    with pytest.raises(CheckpointError, match="there is no such checkpoint"):
        load(tmp_path / "step-000001")


@pytest.fixture
def two(tmp_path):
    save(tmp_path, 1, state(1), {"a": 1}, keep=2)
    return tmp_path, save(tmp_path, 2, state(2), {"a": 2}, keep=2)


@pytest.mark.parametrize("name", ["state.pt", "manifest.json"])
def test_truncated_anywhere_the_one_before_is_taken_and_it_is_said(two, name):
    directory, newest = two
    content = (newest / name).read_bytes()
    for length in sorted({0, 1, len(content) - 2, *random.Random(0).sample(range(len(content) - 2), 40)}):
        (newest / name).write_bytes(content[:length])
        said = []
        assert latest(directory, said.append).step == 1, length
        assert len(said) == 1 and str(newest / name) in said[0] and "damaged" in said[0]
    (newest / name).write_bytes(content)
    assert latest(directory).step == 2


@pytest.mark.parametrize("name", ["state.pt", "manifest.json"])
def test_one_bit_flipped_anywhere_is_found_out(two, name):
    directory, newest = two
    content = (newest / name).read_bytes()
    chance = random.Random(1)
    whole = load(newest)
    for _ in range(60):
        damaged = bytearray(content)
        damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        (newest / name).write_bytes(damaged)
        loaded = latest(directory)
        # A flip in white space of the manifest changes nothing that is read.
        assert loaded.step == 1 or (name == "manifest.json" and loaded.meta == whole.meta)


@pytest.mark.parametrize("name", ["state.pt", "manifest.json"])
def test_a_missing_file_is_damage(two, name):
    directory, newest = two
    (newest / name).unlink()
    said = []
    assert latest(directory, said.append).step == 1
    assert "No such file" in said[0]


def test_one_that_cannot_be_read_is_neither_passed_over_nor_removed(two):
    directory, newest = two
    (newest / "state.pt").rename(newest / "elsewhere")
    (newest / "state.pt").symlink_to("state.pt")  # a loop, which even root cannot read
    with pytest.raises(CheckpointError, match=r"step-000002/state.pt cannot be read") as caught:
        latest(directory)
    assert "nothing was removed" in caught.value.remedy
    save(directory, 1, state(1), {}, keep=1)
    assert names(directory) == ["step-000001", "step-000002"]
    (newest / "elsewhere").replace(newest / "state.pt")
    assert equal(latest(directory).tensors, state(2))


def test_when_all_are_damaged_each_is_reported(two):
    directory, _ = two
    for path in directory.glob("step-*/state.pt"):
        path.write_bytes(b"")
    said = []
    assert latest(directory, said.append) is None
    assert len(said) == 2


def test_a_damaged_later_one_does_not_push_out_a_whole_one(two):
    directory, _ = two
    save(directory, 3, state(3), {}, keep=3)
    (directory / "step-000003" / "state.pt").write_bytes(b"")
    save(directory, 2, state(9), {}, keep=1)
    assert names(directory) == ["step-000002"]
    assert equal(latest(directory).tensors, state(9))


def test_another_schema_is_refused_not_skipped(two):
    directory, newest = two
    from gtn_hpc.core.records import digest

    manifest = json.loads((newest / "manifest.json").read_text())
    del manifest["check"]
    manifest["schema"]["version"] = 99
    (newest / "manifest.json").write_text(json.dumps({**manifest, "check": digest(manifest)}))
    with pytest.raises(CheckpointError, match="version 99") as caught:
        latest(directory)
    assert caught.value.remedy


def test_nothing_else_than_tensors_is_unpickled(two):
    """A state file that would run code when unpickled, with a manifest that fits it, is refused."""
    import hashlib
    import pickle

    from gtn_hpc.core.records import digest

    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(directory / "ran"),)

    directory, newest = two
    content = pickle.dumps(Harmful(), protocol=2)
    (newest / "state.pt").write_bytes(content)
    manifest = json.loads((newest / "manifest.json").read_text())
    del manifest["check"]
    manifest["files"]["state.pt"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (newest / "manifest.json").write_text(json.dumps({**manifest, "check": digest(manifest)}))
    with pytest.raises(CheckpointError):
        load(newest)
    assert not (directory / "ran").exists()


@pytest.mark.parametrize("value", [object(), {1, 2}, torch.nn.Linear(1, 1), lambda: None])
def test_what_could_not_be_read_back_is_refused_before_anything_is_written(tmp_path, value):
    with pytest.raises(CheckpointError, match=r"tensors\['a'\]\[1\] is a ") as caught:
        save(tmp_path / "checkpoints", 1, {"a": [1, value]}, {}, keep=1)
    assert caught.value.remedy
    assert not (tmp_path / "checkpoints").exists()


def test_meta_must_be_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        save(tmp_path, 1, {}, {"loss": float("nan")}, keep=1)
    assert names(tmp_path) == []


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="could not be written") as caught:
        save(tmp_path / "file" / "checkpoints", 1, state(1), {}, keep=1)
    assert "permissions" in caught.value.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(CheckpointError, match="Permission denied"):
        save(tmp_path, 1, state(1), {}, keep=1)
