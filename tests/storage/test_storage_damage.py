"""Cut files and flipped bits: a StorageError each, never another exception, never other values."""

import h5py
import numpy as np
import pytest

from gtn_hpc import storage
from gtn_hpc.core.errors import StorageError
from gtn_hpc.storage import Column, Schema


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a.h5"
    columns = {"v": Column(np.random.default_rng(0).standard_normal(500)), "n": Column([f"k{i}" for i in range(500)])}
    storage.write(path, {"g": columns}, schema=Schema("test", 1), config="a: 1\n", environment={})
    return path.read_bytes()


def read_everything(path):
    with storage.open_file(path, Schema("test", 1)) as file:
        return file.config, {group: file.read(group) for group in file.groups}


def test_a_flipped_bit_anywhere_is_noticed(content, tmp_path):
    path = tmp_path / "a.h5"
    offsets = [*range(0, len(content), 61), *range(len(content) - 20, len(content))]
    for number, offset in enumerate(offsets):
        damaged = bytearray(content)
        damaged[offset] ^= 1 << (number % 8)
        path.write_bytes(damaged)
        with pytest.raises(StorageError) as caught:
            read_everything(path)
        assert str(path) in caught.value.what and caught.value.remedy, offset


def test_a_cut_anywhere_is_noticed(content, tmp_path):
    path = tmp_path / "a.h5"
    for length in [*range(0, len(content), 197), *range(len(content) - 20, len(content))]:
        path.write_bytes(content[:length])
        with pytest.raises(StorageError, match=r"a\.h5"):
            read_everything(path)


def test_a_file_changed_by_another_program_is_noticed(content, tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with h5py.File(path, "r+") as file:
        file["g/v"][0] = 7
    with pytest.raises(StorageError, match=r"seal is gone|checksum"):
        read_everything(path)


def test_values_of_an_unsealed_file_are_guarded_by_fletcher32(tmp_path):
    path = tmp_path / "a.h5"
    values = np.arange(100.0)
    with h5py.File(path, "w") as file:
        file.create_dataset("v", data=values, chunks=(100,), fletcher32=True)
    content = bytearray(path.read_bytes())
    content[content.index(values.tobytes()) + 9] ^= 4
    path.write_bytes(content)
    with pytest.raises(StorageError, match="damaged"):
        storage.read_arrays(path, ["v"])
