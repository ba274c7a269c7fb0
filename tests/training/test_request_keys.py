"""Keys: what a score depends on is in them, what it does not depend on is not."""

from dataclasses import replace

from gtn_hpc.config import Config, parse
from gtn_hpc.core.records import Architecture
from gtn_hpc.training.request import Identity, Request

REQUEST = Request(Architecture("conv", {"widths": [8, 8, 8]}), 16)
GOLDEN = {
    "curriculum": "baa525d6ca8c0fb5",
    "real": "81329ecca0487d04",
    "real_steps": "c75992220fc349e7",
    "real_subset": "8c94d9bddc626146",
    "untrained": "7fe2d232053ef007",
}


def config(*overrides: str) -> Config:
    return parse("run: {name: keys}", overrides)


def identity(*overrides: str, digest: str = "d", optimiser: str = "sgd") -> Identity:
    return Identity.of(config(*overrides), digest, {"optimiser": optimiser})


def test_keys_are_those_of_earlier_releases() -> None:
    """Of each source, as recorded before the units of a curriculum could be part of them."""
    found = {source: identity().key(replace(REQUEST, source=source))[:16] for source in GOLDEN}
    assert found == GOLDEN


def test_settings_that_change_a_score_change_its_key() -> None:
    base = identity().key(REQUEST)
    for override in (
        "run.seed=1",
        "run.threads=2",
        "run.precision=float64",
        "search.fast=reference",
        "run.precision=tf32",
        "data.train=99",
        "search.space.name=chain",
    ):
        assert identity(override).key(REQUEST) != base, override
    assert identity(digest="other").key(REQUEST) != base
    assert identity(optimiser="adam").key(REQUEST) != base
    for change in ({"replica": 1}, {"fidelity": 17}, {"source": "real"}, {"arch": Architecture("conv", {})}):
        assert identity().key(replace(REQUEST, **change)) != base, change


def test_settings_that_do_not_change_a_score_leave_its_key() -> None:
    base = identity().key(REQUEST)
    for override in ("run.name=b", "run.device=cpu", "data.root=/x", "search.budget=7", "final.recipe.lr=0.5"):
        assert identity(override).key(REQUEST) == base, override
    assert identity().key(replace(REQUEST, parent="abc", ask=4)) == base


def test_the_initialisation_depends_on_all_but_the_fidelity() -> None:
    longer = replace(REQUEST, fidelity=99)
    assert identity().learner(longer) == identity().learner(REQUEST)
    assert identity().learner(replace(REQUEST, replica=1)) != identity().learner(REQUEST)


def test_how_a_step_runs_is_part_of_the_key_and_not_of_the_initialisation() -> None:
    other = identity("search.fast=reference")
    assert other.stream(REQUEST) == identity().stream(REQUEST)
    assert other.learner(REQUEST) != identity().learner(REQUEST)


def test_real_data_depends_on_the_recipe_and_not_on_the_curriculum() -> None:
    real = replace(REQUEST, source="real")
    assert identity(digest="other").key(real) == identity().key(real)
    assert identity("final.recipe.lr=0.5").key(real) != identity().key(real)
    assert identity("final.recipe.dropout=0.5").key(real) == identity().key(real)
