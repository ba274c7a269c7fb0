"""A workplace with a small finished run."""

import pytest
from gtn_process import gtn
from tiny_teaching import TEACHING

CONFIG = (
    f"\nrun: {{name: small}}{TEACHING}"
    """\
meta: {iterations: 3, batch: 20}
evaluate: {learners: 3, real_data: {lr: [0.4], momentum: [0.5], tune_learners: 1}}
search:
  space: {name: conv, widths: [[2, 9], [2, 9], [4, 17]]}
  budget: 4
  isolate: false
  certificate: {minimum: 4, steps: 5}
final: {epochs: 2}
"""
)


@pytest.fixture(scope="package")
def workplace(tmp_path_factory):
    """A directory with small.yaml and its run: taught, searched, finished."""
    place = tmp_path_factory.mktemp("workplace")
    (place / "small.yaml").write_text(CONFIG)
    for stage in ("train", "search", "final"):
        done = gtn(stage, "small.yaml", cwd=place)
        assert done.code == 0, done.err
    return place


@pytest.fixture
def empty(tmp_path):
    """A directory with small.yaml alone."""
    (tmp_path / "small.yaml").write_text(CONFIG)
    return tmp_path
