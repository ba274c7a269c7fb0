"""A curriculum beside the images that judge whom it teaches: its units become theirs, and it has seen none of them."""

import re
from pathlib import Path

import pytest
import torch

from gtn_hpc.config import Config, dump, parse
from gtn_hpc.core.errors import DataError
from gtn_hpc.curriculum import file
from gtn_hpc.curriculum.file import CurriculumFile, Description
from gtn_hpc.curriculum.fitting import fitted
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.data import Splits, load

MEAN, STD = (0.25,), (0.5,)


def configured(*overrides: str) -> Config:
    return parse("run: {name: fitting}\ndata: {validation: 300}", overrides)


def images(config: Config) -> Splits:
    return load(config.data, seed=config.run.seed)


def taught(
    path: Path, maker: Config | None, mean: tuple[float, ...] = (), std: tuple[float, ...] = (), data: str = "digits"
) -> CurriculumFile:
    x = torch.linspace(-2, 2, 3 * 4 * 64).reshape(3, 4, 1, 8, 8)
    frozen = Frozen(x, torch.full((3, 4, 10), 0.1), torch.full((3,), 0.1), torch.full((3,), 0.5), "fixed")
    written = dump(maker) if maker else ""
    file.write(path / "c.h5", frozen, Description(data, mean, std, {}, (), "full"), config=written)
    return file.read(path / "c.h5")


def test_stated_units_become_those_of_the_images(tmp_path: Path) -> None:
    config = configured()
    splits, made = images(config), taught(tmp_path, None, MEAN, STD)
    found = fitted(made, splits, config)
    pixels = found.x * splits.train.std + splits.train.mean
    torch.testing.assert_close(pixels, made.frozen.x * STD[0] + MEAN[0])
    assert not torch.allclose(found.x, made.frozen.x, atol=0.1)
    assert torch.equal(found.y, made.frozen.y)


@pytest.mark.parametrize("stated", [False, True])
def test_images_of_the_same_units_stay_as_they_are(stated: bool, tmp_path: Path) -> None:
    config = configured()
    splits = images(config)
    units = (tuple(splits.train.mean.tolist()), tuple(splits.train.std.tolist())) if stated else ()
    made = taught(tmp_path, None, *units)
    assert fitted(made, splits, config) is made.frozen


@pytest.mark.parametrize(
    "judge",
    [("run.seed=1",), ("data.seed=3",), ("data.validation=700",), ("data.test=0.5",)],
)
def test_a_teacher_of_images_that_would_judge_is_refused(judge: tuple[str, ...], tmp_path: Path) -> None:
    maker, config = configured(), configured(*judge)
    splits, made = images(config), taught(tmp_path, maker)
    seen = splits.numbers.trained_on(maker.data, 0)
    held_out = len(splits.validation) + len(splits.test)
    with pytest.raises(DataError, match=f"was taught on {seen} of the {held_out} images of digits") as caught:
        fitted(made, splits, config)
    remedy = re.findall(r"data\.\S+", caught.value.remedy)
    assert remedy == ["data.seed=0", "data.validation=300", "data.test=0.2"]
    mended = configured(*judge, *remedy)
    assert fitted(made, images(mended), mended) is made.frozen


@pytest.mark.parametrize("judge", [("run.seed=1", "data.seed=0"), ("data.validation=100",), ("data.train=200",)])
def test_images_that_it_never_saw_may_judge(judge: tuple[str, ...], tmp_path: Path) -> None:
    made, config = taught(tmp_path, configured()), configured(*judge)
    assert fitted(made, images(config), config) is made.frozen


def test_of_files_that_do_not_tell_nothing_is_asked(tmp_path: Path) -> None:
    config = configured("run.seed=1")
    splits = images(config)
    for maker, data in (
        (None, "digits"),
        (configured(), "other digits"),
        (configured("data.train=10000"), "digits"),  # of a larger set of the same name
    ):
        made = taught(tmp_path, maker, data=data)
        assert fitted(made, splits, config) is made.frozen
