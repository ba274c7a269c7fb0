"""Every configuration that is shipped loads."""

from pathlib import Path

import pytest

from gtn_hpc.config import dump, load, parse

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = [path for path in sorted((ROOT / "configs").rglob("*.yaml")) if "site" not in path.parts]
"""Profiles of sites are no configurations of runs."""


def test_there_are_some():
    assert (ROOT / "configs" / "digits.yaml") in SHIPPED


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT / "configs")))
def test_it_loads_and_survives_a_round_trip(path):
    config = load(path)
    assert parse(dump(config)) == config


def test_names_of_runs_differ():
    names = [load(path).run.name for path in SHIPPED]
    assert sorted(set(names)) == sorted(names)
