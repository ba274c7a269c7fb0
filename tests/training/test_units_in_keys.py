"""The units that a curriculum states: they change every score, and are in its key unless they are the images' own."""

from pathlib import Path

import pytest
import torch

from gtn_hpc.config import Config, dump, parse
from gtn_hpc.core.errors import DataError, StorageError
from gtn_hpc.core.records import Architecture
from gtn_hpc.curriculum import file
from gtn_hpc.curriculum.file import Description
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.data import load
from gtn_hpc.training.header import read_header
from gtn_hpc.training.request import Identity, Request
from gtn_hpc.training.room import furnish
from gtn_hpc.training.setting import Setting

CPU = torch.device("cpu")
REQUEST = Request(Architecture("conv", {"widths": [32, 64, 64]}), 2)
OTHER = ((0.25,), (0.5,))


def configured(*overrides: str) -> Config:
    return parse("run: {name: units}", overrides)


def own_units(config: Config) -> tuple[tuple[float, ...], ...]:
    images = load(config.data, seed=config.run.seed).train
    return tuple(images.mean.tolist()), tuple(images.std.tolist())


def setting(
    path: Path, units: tuple[tuple[float, ...], ...] = ((), ()), maker: Config | None = None, data: str = "digits"
) -> Setting:
    """A search with a curriculum whose file states `units` and the configuration of its `maker`."""
    x = torch.linspace(-1, 1, 2 * 4 * 64).reshape(2, 4, 1, 8, 8)
    frozen = Frozen(x, torch.full((2, 4, 10), 0.1), torch.full((2,), 0.1), torch.full((2,), 0.5), "fixed")
    config = configured()
    inner = config.inner.model_dump(mode="json")
    file.write(path, frozen, Description(data, *units, inner, (), "full"), config=dump(maker) if maker else "")
    return Setting(config, path, read_header(path, config.inner))


def key(setting: Setting) -> str:
    return setting.identity.key(REQUEST)


def test_a_curriculum_of_the_run_s_own_images_keeps_the_key_of_its_digest(tmp_path: Path) -> None:
    made = setting(tmp_path / "c.h5", own_units(configured()), configured())
    plain = Identity.of(made.config, made.digest, made.inner.model_dump(mode="json"))
    assert key(made) == plain.key(REQUEST) == key(setting(tmp_path / "c.h5"))
    for elsewhere in ("run.name=other", "data.root=/elsewhere", "data.augment.flip=true", "data.seed=0"):
        assert key(setting(tmp_path / "c.h5", own_units(configured()), configured(elsewhere))) == key(made), elsewhere
    assert furnish(made, CPU).taught.x.shape == (2, 4, 1, 8, 8)


def test_other_units_are_another_key(tmp_path: Path) -> None:
    keys = [key(setting(tmp_path / "c.h5", units)) for units in (((), ()), OTHER, ((0.25,), (0.4,)), ((0.2,), (0.5,)))]
    keys += [key(setting(tmp_path / "c.h5", OTHER, configured(split))) for split in ("data.train=99", "data.seed=3")]
    assert len(set(keys)) == 4  # those of another split state what a file without its configuration states
    assert keys[1] == keys[4] == keys[5]
    real = Request(REQUEST.arch, 2, source="real")
    stated, silent = setting(tmp_path / "c.h5", OTHER), setting(tmp_path / "d.h5")
    assert stated.digest == silent.digest
    assert stated.identity.key(real) == silent.identity.key(real)


def test_units_that_its_own_images_do_not_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"states other units \(mean, std\) than those of the images of digits"):
        furnish(setting(tmp_path / "c.h5", OTHER, configured()), CPU)
    furnish(setting(tmp_path / "c.h5", OTHER, configured(), data="digits (re-encoded)"), CPU)


@pytest.mark.parametrize(("units", "there", "lacking"), [(((0.5,), ()), "mean", "std"), (((), (0.5,)), "std", "mean")])
def test_a_file_states_both_or_neither(
    units: tuple[tuple[float, ...], ...], there: str, lacking: str, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match=f"states '{there}' without '{lacking}'"):
        setting(tmp_path / "c.h5", units)
    with pytest.raises(StorageError, match=f"states '{there}' without '{lacking}'") as caught:
        file.read(tmp_path / "c.h5")
    assert f"Add '{lacking}'" in (caught.value.remedy or "")
