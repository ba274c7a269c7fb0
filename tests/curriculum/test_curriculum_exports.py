"""A curriculum as arrays and as pictures: values, labels and provenance come back in other programs."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gtn_hpc import storage
from gtn_hpc.core.errors import DataError, StorageError
from gtn_hpc.curriculum import artefacts, file
from gtn_hpc.curriculum.file import CurriculumFile, Description
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.data.folder import read_pictures
from gtn_hpc.data.image_set import Normalisation
from gtn_hpc.data.pictures import shades
from gtn_hpc.storage import Column

T, B, K = 2, 6, 3
MEAN, STD = (0.3, 0.5, 0.4), (0.2, 0.25, 0.3)
ACCURACY = np.linspace(0.1, 0.9, 4 * T).reshape(4, T)


def taught(path: Path, pixels: torch.Tensor, mean: tuple[float, ...] = MEAN) -> CurriculumFile:
    """A curriculum whose images are `pixels` [T, B, C, H, W] (0..255), with soft labels."""
    shape = (1, -1, 1, 1)
    x = (pixels.float() / 255 - torch.tensor(MEAN).reshape(shape)) / torch.tensor(STD).reshape(shape)
    y = torch.softmax(torch.randn(T, B, K, generator=torch.Generator().manual_seed(2)), 2)
    y[0, 0], y[0, 1], y[0, 2] = torch.eye(K)  # of every class there is an image
    frozen = Frozen(x, y, torch.tensor([0.1, 1 / 3]), torch.tensor([0.5, 0.9]), "fixed")
    told = Description("tiny", mean, STD[: len(mean)], {"optimiser": "sgd"}, ("conv2-fc",), "full")
    columns = {"teacher": Column(ACCURACY, "1", "accuracy", ("learner", "inner_step"))}
    file.write(path, frozen, told, config="run: {name: a}", evaluation=columns)
    return file.read(path)


def drawn(low: int = 0, high: int = 256) -> torch.Tensor:
    return torch.randint(low, high, (T, B, 3, 8, 8), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def source(tmp_path: Path) -> CurriculumFile:
    return taught(tmp_path / "teacher.h5", drawn())


def test_arrays_keep_their_bits_and_say_what_they_are(source: CurriculumFile, tmp_path: Path) -> None:
    artefacts.write_npz(source, tmp_path / "teacher.npz")
    with np.load(tmp_path / "teacher.npz", allow_pickle=False) as found:
        stored = storage.read(source.path, "/", ["x", "y", "lr", "momentum"])
        for name, values in stored.items():
            np.testing.assert_array_equal(found[name], values, strict=True)
        np.testing.assert_array_equal(found["evaluation_teacher"], ACCURACY)
        about = json.loads(str(found["about"]))
    assert about["digest"] == source.digest
    assert (about["order"], about["data"], about["config"]) == ("fixed", "tiny", "run: {name: a}")
    assert about["arrays"]["x"]["dims"] == ["step", "image", "channel", "height", "width"]
    assert about["arrays"]["y"]["description"] == "class probabilities"
    np.testing.assert_allclose(about["mean"], MEAN, rtol=1e-6)


def test_pictures_are_the_pixels_and_an_image_set(source: CurriculumFile, tmp_path: Path) -> None:
    artefacts.write_folder(source, tmp_path / "out")
    with open(tmp_path / "out" / "labels.csv", newline="") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == T * B
    images = read_pictures(tmp_path / "out" / "images", "exported").train
    by_name = sorted(rows, key=lambda row: row["file"])
    expected = drawn().numpy()
    places = [(int(row["step"]), int(row["image"])) for row in by_name]
    np.testing.assert_array_equal(images.images, [expected[place] for place in places])
    np.testing.assert_array_equal(images.labels, [source.frozen.y[place].argmax() for place in places])


def test_soft_labels_come_back_to_the_last_bit(source: CurriculumFile, tmp_path: Path) -> None:
    artefacts.write_folder(source, tmp_path / "out")
    with open(tmp_path / "out" / "labels.csv", newline="") as table:
        rows = list(csv.DictReader(table))
    found = np.array([[row[f"p{k}"] for k in range(K)] for row in rows], dtype=np.float32).reshape(T, B, K)
    np.testing.assert_array_equal(found, source.frozen.y.numpy())
    assert [int(row["class"]) for row in rows] == source.frozen.y.argmax(2).flatten().tolist()
    assert rows[B]["file"].endswith("/0001-0000.png")
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    assert (about["digest"], about["values_cut"], about["momentum"][0]) == (source.digest, 0, 0.5)


def test_what_lies_outside_is_cut_and_told(tmp_path: Path) -> None:
    pixels = drawn()
    pixels[0, 0] = 300
    pixels[0, 1] = -40
    source = taught(tmp_path / "teacher.h5", pixels)
    artefacts.write_folder(source, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "about.json").read_text())["values_cut"] == pytest.approx(2 / (T * B))
    images = read_pictures(tmp_path / "out" / "images", "exported").train.images
    assert (images == 255).all((1, 2, 3)).sum() == 1
    assert (images == 0).all((1, 2, 3)).sum() == 1


def test_the_normalisation_of_an_image_set_is_undone() -> None:
    pixels = drawn().flatten(0, 1).to(torch.uint8)
    of = Normalisation.of(pixels, torch.float32)
    found, cut = shades(of.apply(pixels).numpy(), of.mean.tolist(), of.std.tolist())
    np.testing.assert_array_equal(found, pixels.permute(0, 2, 3, 1).numpy())
    assert cut == 0


def test_without_a_normalisation_there_are_no_pictures(tmp_path: Path) -> None:
    source = taught(tmp_path / "teacher.h5", drawn(), mean=())
    with pytest.raises(DataError, match="does not say how its images were normalised"):
        artefacts.write_folder(source, tmp_path / "out")
    artefacts.write_npz(source, tmp_path / "teacher.npz")
    assert np.load(tmp_path / "teacher.npz")["x"].shape == (T, B, 3, 8, 8)


def test_images_of_two_channels_are_no_pictures_and_leave_nothing(tmp_path: Path) -> None:
    whole = taught(tmp_path / "whole.h5", drawn())
    two = Frozen(whole.frozen.x[:, :, :2], whole.frozen.y, *whole.frozen.schedule.table(), "fixed")
    file.write(tmp_path / "two.h5", two, Description("two", (0.5,), (0.5,), {}, (), "full"), config="")
    with pytest.raises(DataError, match="2 channels make no picture"):
        artefacts.write_folder(file.read(tmp_path / "two.h5"), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["two.h5", "whole.h5"]


def test_a_folder_with_something_in_it_is_left_alone(source: CurriculumFile, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match="out cannot be written"):
        artefacts.write_folder(source, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]
    (tmp_path / "out" / "notes.txt").unlink()
    artefacts.write_folder(source, tmp_path / "out")
    assert (tmp_path / "out" / "labels.csv").is_file()
    with pytest.raises(StorageError, match=r"teacher.npz cannot be written"):
        artefacts.write_npz(source, source.path / "teacher.npz")
