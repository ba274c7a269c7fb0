import json

import pytest

from gtn_hpc.config import dump, load, parse
from gtn_hpc.config.claim import claim, require_own
from gtn_hpc.core.errors import ConfigError, RunError


@pytest.fixture
def make(tmp_path):
    def config(*overrides):
        return parse("run: {name: digits}", [f"run.root={tmp_path / 'runs'}", *overrides])

    return config


LEAVES = {
    "train": "checkpoints/step-000000/state.pt",
    "search": "journal/local.0.a.r0.jsonl",
    "final": "final/a/state.pt",
}


def begin(config, stage):
    """Claims, and leaves what the stage leaves first."""
    run = claim(config, stage)
    left = run.path / LEAVES[stage]
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_text("something")
    return run


def test_a_claim_writes_what_explains_the_run(make):
    run = claim(make("meta.lr=0.5"), "train")
    assert load(run.path).meta.lr == 0.5
    assert json.loads(run.environment.read_text())["packages"]["numpy"]
    assert not run.read_state()["wants_requeue"]


def test_a_second_start_resumes(make):
    first = claim(make(), "train")
    first.update_state("train", iteration=3)
    assert claim(make(), "train") == first
    assert first.read_state()["stages"]["train"]["iteration"] == 3


@pytest.mark.parametrize("stage", LEAVES)
def test_a_start_that_left_nothing_takes_no_name(make, stage):
    claim(make("data.name=digitss", "final.epochs=2"), stage)
    begin(make("data.name=digits"), stage)
    with pytest.raises(RunError, match=r"data\.name: was 'digits', now 'digitss'"):
        claim(make("data.name=digitss"), stage)


def test_another_configuration_is_refused_and_the_difference_named(make):
    begin(make(), "train")
    with pytest.raises(RunError) as caught:
        claim(make("meta.lr=0.5", "learners=[{family: linear}]", "run.seed=1"), "train")
    message = str(caught.value)
    assert "meta.lr: was 0.01, now 0.5" in message
    assert "run.seed: was 0, now 1" in message
    assert "'linear'" in message
    assert "meta.batch" not in message
    assert "another run.name" in caught.value.remedy
    assert load(make().run.root + "/digits").meta.lr == 0.01


@pytest.mark.parametrize(
    "override",
    [
        "run.device=cpu",
        "engine.memory_budget=7",
        "engine.offload=recompute",
        "meta.checkpoint_every=7",
        "search.budget=7",
        "search.limits.seconds=3",
        "search.workers=2",
    ],
)
def test_operational_keys_may_change(make, override):
    begin(make(), "train")
    begin(make(), "search")
    run = claim(make(override), "search")
    assert load(run.path) == make(override)


@pytest.mark.parametrize("name", ["mnist", "/sets/mine.npz"])
def test_an_image_set_that_its_name_tells_may_move(make, name):
    before, now = (make(f"data.name={name}", *place) for place in (["data.root=/a"], []))
    begin(before, "train")
    run = claim(now, "train")
    require_own(run, now, dump(before), "the checkpoint")
    assert load(run.path).data.root is None


def test_an_own_set_below_another_root_is_another_set(make):
    before, now = (make("data.name=mine.npz", f"data.root={place}") for place in "ab")
    run = begin(before, "train")
    for refused in (lambda: claim(now, "train"), lambda: require_own(run, now, dump(before), "the checkpoint")):
        with pytest.raises(RunError, match=r"data\.root: was 'a', now 'b'"):
            refused()


@pytest.mark.parametrize("part", [["search.pool=shards", "search.shard=0/8"], ["search.pool=shared"]])
def test_the_configuration_that_is_kept_is_that_of_the_whole_search(make, part):
    for _ in range(2):
        assert load(begin(make("search.budget=7", *part), "search").path) == make("search.budget=7")
    assert load(claim(make("search.pool=mpi"), "search").path).search.pool == "mpi"


def test_the_root_may_be_reached_by_another_path(make, tmp_path):
    begin(make(), "train")
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    claim(make(f"run.root={tmp_path / 'link'}"), "train")


def test_a_section_is_free_until_a_stage_uses_it(make):
    begin(make(), "train")
    begin(make("search.replicas=3", "final.epochs=2"), "search")
    begin(make("search.replicas=3", "final.epochs=5"), "final")
    with pytest.raises(RunError, match=r"final\.epochs: was 5, now 6"):
        claim(make("search.replicas=3", "final.epochs=6"), "final")
    with pytest.raises(RunError, match=r"search\.replicas: was 3, now 4"):
        claim(make("search.replicas=4", "final.epochs=5"), "final")


def test_a_later_stage_cannot_rewrite_what_an_earlier_one_used(make):
    begin(make(), "train")
    with pytest.raises(RunError, match=r"meta\.lr: was 0\.01, now 0\.5"):
        claim(make("meta.lr=0.5"), "search")


def test_a_section_that_ends_differs_by_name(make):
    linear = "learners=[{family: linear}]"
    begin(make(linear, "rl.limit=9"), "train")
    with pytest.raises(RunError, match=r"rl: was \{.*'limit': 9.*\}, now None"):
        claim(make(linear), "train")


def test_damage_in_the_directory_is_named(make):
    run = claim(make(), "train")
    run.config.write_text("run: {name: digits, lost: 1}")
    with pytest.raises(ConfigError, match=r"config\.yaml is not valid:\n  run\.lost: unknown key"):
        claim(make(), "train")
