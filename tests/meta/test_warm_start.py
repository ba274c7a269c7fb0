"""A teacher that starts from real images shows real images of its classes."""

import pytest
import torch
from tiny import tiny

from gtn_hpc.cluster.connect import connect
from gtn_hpc.core.errors import ConfigError, Requeue
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.curriculum.frozen import freeze
from gtn_hpc.meta import classroom
from gtn_hpc.meta.setup import prepare
from gtn_hpc.meta.stage import train

GENERATOR = "teacher.generator={noise: 16, hidden: 64, channels: [16, 16]}"


def started(tmp_path, start, *overrides):
    config = tiny(tmp_path, f"teacher.curriculum.start={start}", GENERATOR, *overrides)
    room = prepare(config, torch.device("cpu"))
    room.begin()
    return room, freeze(room.teacher, torch_generator(0, "test"))


def distance_to_own_class(room, frozen):
    """Mean over synthetic images of the squared distance to the nearest training image of the same class."""
    real = room.splits.train.normalised()
    distances = torch.cdist(frozen.x.flatten(0, 1).flatten(1), real.x.flatten(1)) ** 2
    other = frozen.y.flatten(0, 1).argmax(dim=1)[:, None] != real.y[None]
    return float(distances.masked_fill(other, float("inf")).amin(dim=1).mean())


def test_a_fitted_generator_shows_images_near_real_ones_of_their_class(tmp_path):
    near = distance_to_own_class(*started(tmp_path, "real"))
    far = distance_to_own_class(*started(tmp_path, "noise"))
    assert near < far / 4


def test_distilled_pixels_begin_as_training_images_each_used_once(tmp_path):
    room, frozen = started(tmp_path, "real", "teacher.curriculum.arm=distilled_pixels")
    real = room.splits.train.normalised()
    shown = frozen.x.flatten(0, 1).flatten(1)
    same = (shown[:, None] == real.x.clamp(-1.96, 1.96).flatten(1)[None]).all(dim=2)
    own_class = frozen.y.flatten(0, 1).argmax(dim=1)[:, None] == real.y[None]
    assert bool((same & own_class).any(dim=1).all())
    assert len(torch.unique(shown, dim=0)) == len(shown)


def test_the_start_is_a_function_of_the_seed(tmp_path):
    digests = [
        started(tmp_path, "real", f"run.seed={seed}", "teacher.curriculum.start_passes=3")[1].digest()
        for seed in (1, 1, 2)
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(("arm", "start"), [("full", "real"), ("distilled_pixels", "real"), ("none", "noise")])
def test_unless_told_a_teacher_begins_from_real_images_where_it_has_its_own(tmp_path, arm, start):
    options = [f"teacher.curriculum.arm={arm}", "teacher.curriculum.start_passes=3"]
    auto = started(tmp_path, "auto", *options)[1].digest()
    assert auto == started(tmp_path, start, *options)[1].digest()
    if start == "real":
        assert auto != started(tmp_path, "noise", *options)[1].digest()


@pytest.mark.parametrize("arm", ["none", "real_data"])
def test_an_arm_without_images_of_its_own_is_refused_in_words(tmp_path, arm):
    with pytest.raises(ConfigError, match="no images of its own"):
        started(tmp_path, "real", f"teacher.curriculum.arm={arm}")


def test_a_run_that_goes_on_is_not_fitted_again(tmp_path, monkeypatch):
    fits = []
    fit = classroom.start_from_real
    monkeypatch.setattr(classroom, "start_from_real", lambda *given: (fits.append(1), fit(*given)))

    def taught(root, *overrides):
        config = tiny(tmp_path / root, "teacher.curriculum.start=real", GENERATOR, *overrides)
        return train(config, connect("cpu")).frozen.digest()

    whole = taught("whole")
    with pytest.raises(Requeue):
        taught("stopped", "run.deadline=0.001")
    assert (taught("stopped"), len(fits)) == (whole, 2)


def test_a_class_without_a_training_image_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"class \d has no training image to start from") as told:
        started(tmp_path, "real", "data.train=20")
    assert "teacher.curriculum.start=noise" in told.value.remedy
    started(tmp_path, "noise", "data.train=20")
