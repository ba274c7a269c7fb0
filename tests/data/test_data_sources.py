"""Image sets read from real files of every kind, and what is said about bad ones."""

import io
import random

import h5py
import numpy as np
import pytest
from image_files import COLOUR, GREY, LABELS, idx_bytes, jpeg, jpeg_arrays, write_idx, write_jpeg_packed, write_pictures
from PIL import Image

from gtn_hpc.config.teaching import Data
from gtn_hpc.core.errors import ConfigError, DataError
from gtn_hpc.core.records import ImageShape
from gtn_hpc.data.catalogue import find


def own(path, **more):
    return find(Data(name=str(path), **more))


def refused(path, *words, error=DataError, **more):
    """The set at `path` is refused with a message that has all `words` and names a remedy."""
    with pytest.raises(error) as caught:
        own(path, **more)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dash", ["-", "."])
def test_idx_folder_keeps_its_test_split(tmp_path, packed, dash):
    write_idx(tmp_path / "letters", "train", GREY, LABELS, dash=dash, packed=packed)
    write_idx(tmp_path / "letters", "t10k", GREY[:6], LABELS[:6], dash=dash, packed=packed)
    found = own(tmp_path / "letters")
    assert (found.name, found.classes, found.train.shape) == ("letters", ("0", "1", "2"), ImageShape(1, 9, 11))
    assert np.array_equal(found.train.images[:, 0], GREY) and np.array_equal(found.train.labels, LABELS)
    assert np.array_equal(found.test.images[:, 0], GREY[:6])


@pytest.mark.parametrize("packed", [False, True])
def test_one_pair_of_idx_files(tmp_path, packed):
    write_idx(tmp_path, "train", GREY, LABELS, packed=packed)
    found = own(tmp_path / ("train-images-idx3-ubyte" + ".gz" * packed))
    assert np.array_equal(found.train.images[:, 0], GREY) and found.test is None


@pytest.mark.parametrize("images", [GREY, COLOUR])
def test_npz_with_arrays(tmp_path, images):
    np.savez(tmp_path / "set.npz", images=images, labels=LABELS.astype(np.uint16))
    found = own(tmp_path / "set.npz")
    assert found.name == "set" and found.test is None
    assert np.array_equal(found.train.images.transpose(0, 2, 3, 1), images.reshape(30, 9, 11, -1))
    assert found.train.labels.dtype == np.int64


def test_names_keep_the_dots_that_are_no_endings(tmp_path, monkeypatch):
    np.savez(tmp_path / "flowers.v1.npz", images=GREY, labels=LABELS)
    write_h5(tmp_path / "flowers.v2.hdf5", images=GREY, labels=LABELS)
    write_idx(tmp_path / "flowers.v3", "train", GREY, LABELS, dash=".", packed=True)
    paths = ["flowers.v1.npz", "flowers.v2.hdf5", "flowers.v3", "flowers.v3/train-images.idx3-ubyte.gz"]
    names = [own(tmp_path / path).name for path in paths]
    assert names == ["flowers.v1", "flowers.v2", "flowers.v3", "train-images"]
    monkeypatch.chdir(tmp_path / "flowers.v3")
    assert own("./").name == own("../flowers.v3/").name == "flowers.v3"


def test_npz_with_test_split_and_class_names(tmp_path):
    names = ["a", "b", "c", "never seen"]
    np.savez_compressed(
        tmp_path / "s.npz", images=COLOUR, labels=LABELS, test_images=COLOUR[:4], test_labels=LABELS[:4], classes=names
    )
    found = own("s.npz", root=str(tmp_path))
    assert found.classes == tuple(names) and len(found.test) == 4


def test_names_of_classes_may_be_bytes(tmp_path):
    names = np.array([name.encode() for name in ("ants", "bees", "Käfer")])
    np.savez(tmp_path / "s.npz", images=COLOUR, labels=LABELS, classes=names)
    assert own("s.npz", root=str(tmp_path)).classes == ("ants", "bees", "Käfer")


def test_jpeg_packed_is_decoded_and_named_as_lossy(tmp_path):
    found = own(write_jpeg_packed(tmp_path / "things_jpeg.npz"))
    assert found.name == "things (JPEG re-encoded)" and found.classes == ("x", "y", "z")
    decoded = np.stack([np.asarray(Image.open(io.BytesIO(jpeg(image)))) for image in COLOUR])
    assert np.array_equal(found.train.images.transpose(0, 2, 3, 1), decoded)
    assert len(found.test) == 6 and found.test.images.flags.writeable


def write_h5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


@pytest.mark.parametrize("images", [GREY, COLOUR])
def test_h5_of_another_program(tmp_path, images):
    found = own(write_h5(tmp_path / "set.h5", images=images, labels=LABELS, other=[1.0]))
    assert found.name == "set" and found.test is None and found.classes == ("0", "1", "2")
    assert np.array_equal(found.train.images.transpose(0, 2, 3, 1), images.reshape(30, 9, 11, -1))
    more = {"test_images": images[:4], "test_labels": LABELS[:4], "classes": ["a", "b", "ä"]}
    found = own(write_h5(tmp_path / "more.hdf5", images=images, labels=LABELS, **more))
    assert found.classes == ("a", "b", "ä") and len(found.test) == 4


def test_h5_that_does_not_fit(tmp_path):
    path = tmp_path / "set.h5"
    refused(write_h5(path, images=GREY), "no 'labels'", "it holds images")
    refused(write_h5(path, images=GREY / 255, labels=LABELS), "images are float64")
    refused(write_h5(path, images=3, labels=LABELS), str(path))
    content = write_h5(path, images=GREY, labels=LABELS).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refused(path, str(path), "HDF5 file with `images` and `labels`")
    path.write_bytes(b"no HDF5 at all")
    refused(path, "is not an HDF5 file")


@pytest.mark.parametrize("below", ["", "train"])
@pytest.mark.parametrize("images", [GREY, COLOUR])
def test_folder_of_pictures(tmp_path, images, below):
    write_pictures(tmp_path / "birds" / below, images, LABELS)
    (tmp_path / "birds" / "notes.txt").write_text("not a picture")
    (tmp_path / "birds" / below / "class0" / ".hidden.png").write_bytes(b"")
    if below:
        write_pictures(tmp_path / "birds" / "test", images[:4], LABELS[:4])
    found = own(tmp_path / "birds")
    assert (found.name, found.classes) == ("birds", ("class0", "class1", "class2"))
    order = np.argsort(LABELS, kind="stable")
    assert np.array_equal(found.train.images.transpose(0, 2, 3, 1), images[order].reshape(30, 9, 11, -1))
    assert np.array_equal(found.train.labels, LABELS[order])
    assert (found.test is not None) == bool(below)


def test_palettes_and_transparency_become_colour_and_grey_widens(tmp_path):
    write_pictures(tmp_path, GREY[:3], LABELS[:3])
    Image.fromarray(COLOUR[0]).quantize(16).save(tmp_path / "class0" / "palette.png")
    Image.fromarray(np.dstack([COLOUR[1], GREY[1]])).save(tmp_path / "class1" / "transparent.png")
    found = own(tmp_path)
    assert found.train.shape.channels == 3
    assert np.array_equal(found.train.images[0], np.stack([GREY[0]] * 3))
    assert np.array_equal(found.train.images[3].transpose(1, 2, 0), COLOUR[1])


# What is refused.


def test_idx_truncated_at_any_length(tmp_path):
    write_idx(tmp_path / "s", "train", GREY, LABELS)
    path = tmp_path / "s" / "train-images-idx3-ubyte"
    content = path.read_bytes()
    for length in [0, 3, 4, 10, 15, *random.Random(0).sample(range(16, len(content)), 20)]:
        path.write_bytes(content[:length])
        refused(tmp_path / "s", str(path), "not an IDX file" if length < 4 else "truncated")
    path.write_bytes(content + b"\0")
    refused(tmp_path / "s", "too long", "2971", "2970")


def test_gzip_truncated_or_damaged_anywhere(tmp_path):
    write_idx(tmp_path / "s", "train", GREY, LABELS, packed=True)
    path = tmp_path / "s" / "train-images-idx3-ubyte.gz"
    content, chance = path.read_bytes(), random.Random(0)
    for length in chance.sample(range(2, len(content)), 20):
        path.write_bytes(content[:length])
        refused(tmp_path / "s", str(path), "corrupt gzip")
    for _ in range(20):
        damaged = bytearray(content)
        damaged[chance.randrange(10, len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        refused(tmp_path / "s", str(path))


def test_idx_of_another_kind(tmp_path):
    write_idx(tmp_path / "s", "train", GREY, LABELS)
    path = tmp_path / "s" / "train-images-idx3-ubyte"
    path.write_bytes(idx_bytes(GREY.astype(">f4"), kind=0x0D))
    refused(tmp_path / "s", "IDX type 0x0d", "unsigned bytes")
    path.write_bytes(b"\x89PNG and more")
    refused(tmp_path / "s", "not an IDX file")


def test_idx_companions_missing(tmp_path):
    write_idx(tmp_path / "s", "train", GREY, LABELS)
    write_idx(tmp_path / "s", "t10k", GREY, LABELS)
    (tmp_path / "s" / "t10k-labels-idx1-ubyte").unlink()
    refused(tmp_path / "s", "t10k-labels-idx1-ubyte (or .gz) is missing")
    refused(tmp_path / "s" / "t10k-images-idx3-ubyte", "no labels file beside it", "...labels-idx1-ubyte")


def test_lengths_differ(tmp_path):
    write_idx(tmp_path / "s", "train", GREY, LABELS[:-1])
    refused(tmp_path / "s", "30 images but 29 labels")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": GREY}, ["no 'labels'", "it holds images"]),
        ({"pixels": GREY, "labels": LABELS}, ["no 'images'", "labels, pixels"]),
        ({"images": GREY / 255, "labels": LABELS}, ["images are float64, not uint8", "* 255"]),
        ({"images": np.where(GREY < 9, np.nan, 0), "labels": LABELS}, [f"{(GREY < 9).sum()} non-finite values"]),
        ({"images": GREY.astype(np.int16), "labels": LABELS}, ["images are int16"]),
        ({"images": GREY[0], "labels": LABELS}, ["shape [9, 11]", "[N, H, W]"]),
        ({"images": COLOUR.transpose(0, 3, 1, 2), "labels": LABELS}, ["11 channels", "channels seem to stand first"]),
        ({"images": np.zeros((30, 9, 9, 7), np.uint8), "labels": LABELS}, ["7 channels", "1 to 4 channels"]),
        ({"images": np.zeros((30, 9, 9, 0), np.uint8), "labels": LABELS}, ["0 channels"]),
        ({"images": GREY[:, :7], "labels": LABELS}, ["7x11 pixels", "at least 8x8"]),
        ({"images": GREY[:0], "labels": LABELS[:0]}, ["holds no images"]),
        ({"images": GREY, "labels": LABELS[:9]}, ["30 images but 9 labels"]),
        ({"images": GREY, "labels": LABELS.astype(float)}, ["labels are float64, not integers"]),
        ({"images": GREY, "labels": np.full(30, np.inf)}, ["30 non-finite values"]),
        ({"images": GREY, "labels": LABELS[:, None]}, ["labels have the shape [30, 1]"]),
        ({"images": GREY, "labels": LABELS - 1}, ["label -1 is below 0 (image 0, 10 labels", "0..K-1"]),
        ({"images": GREY, "labels": LABELS, "classes": ["a", "b", "a"]}, ["2 classes are named 'a'", "`classes`"]),
        ({"images": GREY, "labels": LABELS + 1}, ["from 1 to 3", "class 0 has no image"]),
        ({"images": GREY, "labels": LABELS * 10**9}, ["class 1 has no image"]),
        ({"images": GREY, "labels": LABELS * 0}, ["only 1 class"]),
        ({"images": GREY, "labels": LABELS, "classes": ["a", "b"]}, ["label 2 is out of range 0..1", "image 2, 10"]),
        ({"images": GREY, "labels": LABELS, "test_images": COLOUR, "test_labels": LABELS}, ["1x9x11", "3x9x11"]),
        ({"images": GREY, "labels": LABELS, "test_images": GREY}, ["no 'test_labels'"]),
        ({"images": np.array([GREY, None], object), "labels": LABELS}, ["Object arrays cannot be loaded"]),
    ],
)
def test_npz_that_does_not_fit(tmp_path, arrays, words):
    np.savez(tmp_path / "set.npz", **arrays)
    refused(tmp_path / "set.npz", str(tmp_path / "set.npz"), *words)


def test_npz_damaged_anywhere_is_refused_or_unchanged(tmp_path):
    """A flipped bit in the directory of a zip may be one that nobody reads; then the arrays are the right ones."""
    path = tmp_path / "set.npz"
    np.savez_compressed(path, images=GREY, labels=LABELS)
    content, chance = path.read_bytes(), random.Random(0)
    for length in chance.sample(range(len(content)), 25):
        path.write_bytes(content[:length])
        refused(path, str(path), "corrupt")
    caught = 0
    for _ in range(80):
        damaged = bytearray(content)
        damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            found = own(path)
        except DataError:
            caught += 1
        else:
            assert np.array_equal(found.train.images[:, 0], GREY) and np.array_equal(found.train.labels, LABELS)
    assert caught > 40


def test_jpeg_packed_that_does_not_fit(tmp_path):
    path = tmp_path / "set.npz"
    whole = jpeg_arrays("train", COLOUR, LABELS)
    offsets, packed = whole["train_offsets"], whole["train_jpeg"]
    for wrong in (offsets[:-1], offsets + 1, offsets[::-1], offsets.astype(float), offsets * 2):
        refused(write_jpeg_packed(path, train_offsets=wrong), "train_offsets", "30 pictures")
    refused(write_jpeg_packed(path, train_labels=np.uint8(3)), "train_offsets")
    refused(write_jpeg_packed(path, train_jpeg=packed.astype(float)), "train_offsets")
    holed = packed.copy()
    holed[offsets[3] : offsets[3] + 4] = 0
    refused(write_jpeg_packed(path, train_jpeg=holed), "train picture 3", "not a picture")
    cut = offsets.copy()
    cut[5] = offsets[4] + 300
    refused(write_jpeg_packed(path, train_offsets=cut), "train picture 4", "cannot be decoded")
    refused(write_jpeg_packed(path, train_labels=LABELS + 1), "out of range 0..2")


def test_pictures_that_do_not_fit(tmp_path):
    folder = tmp_path / "birds"
    folder.mkdir()
    refused(folder, "0 sub-folders with pictures", "Give each class a sub-folder")
    write_pictures(folder / "train", COLOUR, LABELS)
    (folder / "test").mkdir()
    refused(folder, "test: no pictures", ".png")
    write_pictures(folder / "test", COLOUR[:1], ["9"])
    refused(folder, "class 'class9' has no training pictures")
    (folder / "test" / "class9").rename(folder / "test" / "class1")
    odd = folder / "train" / "class1" / "99.png"
    Image.fromarray(COLOUR[0, :8]).save(odd)
    refused(folder, str(odd), "11x8 pixels", "11x9")
    Image.fromarray(COLOUR[0].astype(np.uint16)[..., 0]).save(odd)
    refused(folder, str(odd), "more than 8 bits")
    odd.write_bytes(b"GIF89a and then nothing")
    refused(folder, str(odd), "cannot be decoded")


def test_what_is_no_set_at_all(tmp_path):
    (tmp_path / "set.csv").write_text("1,2")
    refused(tmp_path / "set.csv", "not a known kind of image set", ".npz")
    refused(tmp_path / "nothing.npz", "there is no such file or folder")
    refused("fashion_mnits", "no image set named 'fashion_mnits'", "Did you mean 'fashion_mnist'?", error=ConfigError)
