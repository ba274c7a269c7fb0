import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest

from gtn_hpc.core.errors import ConfigError, GtnError, nearest
from gtn_hpc.core.records import Architecture, ImageShape, canonical_json, digest, plain


def test_architectures_are_equal_where_their_json_is():
    one = Architecture("conv", {"widths": (32, 64), "kernel": 3})
    other = Architecture("conv", {"kernel": 3, "widths": [32, 64]})
    assert one == other
    assert len({one, other, Architecture.from_json(one.to_json())}) == 1
    assert one.digest == other.digest
    assert one != Architecture("chain", other.spec)
    assert one != one.to_json()


def test_the_digest_is_the_same_for_ever():
    assert Architecture("conv", {"widths": [32, 64, 128]}).digest == "ea9ca855bf3416af"
    assert digest({"b": 1.5, "a": None}) == digest({"a": None, "b": 1.5})


def test_json_refuses_what_other_programs_cannot_read():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"lr": float("nan")})


def test_anything_can_be_told_as_json():
    told = {
        1: (np.float32(0.5), np.arange(2), math.nan),
        "place": Path("a"),
        "none": None,
        "sure": True,
        "far": -math.inf,
    }
    assert plain(told) == {"1": [0.5, [0, 1], None], "place": "a", "none": None, "sure": True, "far": None}
    assert json.loads(json.dumps(plain(told), allow_nan=False)) == plain(told)


def test_an_image_shape_reads_as_people_write_it():
    assert str(ImageShape(channels=3, height=32, width=24)) == "3x32x24"


def test_an_error_crosses_processes_whole():
    error = pickle.loads(pickle.dumps(ConfigError("lr is NaN.", remedy="Give a number.")))
    assert isinstance(error, ConfigError)
    assert (error.what, error.remedy, error.exit_code) == ("lr is NaN.", "Give a number.", 2)
    assert str(error) == "lr is NaN.\n  Give a number."


def test_every_error_is_drawn_in_the_tree_with_its_exit_code():
    from gtn_hpc.core import errors

    drawn = [line for line in errors.__doc__.splitlines() if "exit" in line]
    rows = {line.split("exit")[0].strip(" │├└─"): line.split() for line in drawn}
    own = [value for value in vars(errors).values() if getattr(value, "__module__", "") == errors.__name__]
    classes = {value.__name__: value for value in own if isinstance(value, type)}
    assert set(rows) == set(classes)
    for name, value in classes.items():
        assert issubclass(value, GtnError)
        assert f"exit {value.exit_code}" in " ".join(rows[name])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("iteratoins", "Did you mean 'iterations'? Valid: batch, iterations."), ("zzz", "Valid: batch, iterations.")],
)
def test_a_close_name_is_suggested(name, sentence):
    assert nearest(name, {"iterations", "batch"}) == sentence
