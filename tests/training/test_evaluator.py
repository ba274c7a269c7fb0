"""The evaluator: a longer run goes on equally, failures are rows, and only the validation split is looked at."""

import pickle
from dataclasses import replace
from pathlib import Path

import needs
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gtn_hpc import storage
from gtn_hpc.config import Config, parse
from gtn_hpc.core.errors import DeviceLost
from gtn_hpc.core.records import Architecture
from gtn_hpc.core.streams import torch_generator
from gtn_hpc.curriculum.file import Description, read, write
from gtn_hpc.curriculum.frozen import Frozen
from gtn_hpc.data import load
from gtn_hpc.training.controls import control
from gtn_hpc.training.estimates import plain_seconds
from gtn_hpc.training.evaluator import Evaluator, Verdict
from gtn_hpc.training.header import read_header
from gtn_hpc.training.request import Request
from gtn_hpc.training.setting import Setting

TEXT = """
run: {name: evaluator}
data: {train: 400}
search: {space: {name: nao_cell, cells: 1, filters: 2, nodes: 2}, score_at: [1, 3]}
final: {recipe: {lr: 0.1, batch: 32, crop: 1}}
"""


def frozen(config: Config, order: str = "fixed", steps: int = 5) -> Frozen:
    splits = load(config.data, seed=0)
    batch = splits.train.sample(steps * 16, torch_generator(0, "test"))
    x, y = batch.x.reshape(steps, 16, 1, 8, 8), F.one_hot(batch.y, 10).float().reshape(steps, 16, 10)
    return Frozen(x, y, torch.full((steps,), 0.05), torch.full((steps,), 0.5), order)  # type: ignore[arg-type]


def evaluator(path: Path, *overrides: str, order: str = "fixed") -> Evaluator:
    config = parse(TEXT, overrides)
    inner = config.inner.model_dump(mode="json")
    write(path, frozen(config, order), Description("digits", (), (), inner, (), "full"), config="")
    return Evaluator(Setting(config, path, read_header(path, config.inner)))


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    torch.set_num_threads(1)
    return evaluator(tmp_path_factory.mktemp("evaluator") / "c.h5")


@pytest.fixture(scope="module")
def arch(scored: Evaluator) -> Architecture:
    return scored.setting.space.canonical(scored.setting.space.sample(np.random.default_rng(0)))


def test_a_shorter_run_is_the_beginning_of_a_longer_one(scored: Evaluator, arch: Architecture) -> None:
    whole, part = scored.evaluate(Request(arch, 5)), scored.evaluate(Request(arch, 3))
    assert sorted(whole.curve) == [1, 3, 5]
    assert sorted(part.curve) == [1, 3]
    assert part.val_accuracy == whole.curve[3]
    assert whole.val_accuracy == whole.curve[5]
    assert part.key != whole.key


def test_replicas_differ_and_each_repeats(scored: Evaluator, arch: Architecture) -> None:
    first, again, other = (scored.evaluate(Request(arch, 2, replica)) for replica in (0, 0, 1))
    assert (first.key, first.val_accuracy, first.val_loss) == (again.key, again.val_accuracy, again.val_loss)
    assert other.key != first.key
    assert other.val_loss != first.val_loss


def test_another_process_gets_the_record_and_finds_the_same(scored: Evaluator, arch: Architecture) -> None:
    content = pickle.dumps(scored)
    assert len(content) < 20_000
    again = pickle.loads(content).evaluate(Request(arch, 2))
    assert again.val_loss == scored.evaluate(Request(arch, 2)).val_loss


def test_the_row_says_what_was_measured(scored: Evaluator, arch: Architecture) -> None:
    row = scored.evaluate(Request(arch, 2, parent="p", ask=7))
    assert (row.parent, row.ask, row.fidelity, row.status) == ("p", 7, 2, "ok")
    assert row.params == scored.setting.space.params(arch)
    assert row.flops == scored.setting.space.flops(arch)
    assert row.peak_bytes > 2**20
    assert row.seconds > 0


def test_only_the_validation_split_is_looked_at(scored: Evaluator, arch: Architecture) -> None:
    splits = scored.room.splits
    blind = Evaluator(scored.setting)
    wrong = replace(splits.test, labels=(splits.test.labels + 1) % 10)
    blind.__dict__["room"] = replace(scored.room, splits=replace(splits, test=wrong, train=wrong))
    assert blind.evaluate(Request(arch, 2)).val_loss == scored.evaluate(Request(arch, 2)).val_loss


@needs.GPU
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_a_gpu_finds_what_a_cpu_finds_also_by_graphs(tmp_path: Path, arch: Architecture, optimiser: str) -> None:
    inner = "{optimiser: sgd}" if optimiser == "sgd" else "{optimiser: adam, beta2: 0.99, eps: 1.0e-6}"
    options = [f"inner={inner}", "run.precision=float64"]
    expected = evaluator(tmp_path / "c.h5", *options).evaluate(Request(arch, 5))
    for fast in ("auto", "graphs", "reference"):
        there = replace(evaluator(tmp_path / "c.h5", *options, f"search.fast={fast}"), device="cuda")
        found, again = (there.evaluate(Request(arch, 5)) for _ in range(2))
        assert found.status == expected.status == "ok", found.detail
        assert found.curve == pytest.approx(expected.curve, abs=0.01)
        assert found.val_loss == pytest.approx(expected.val_loss, rel=1e-4)
        assert again.val_loss == found.val_loss


def test_real_data_has_any_number_of_steps_and_its_own_keys(scored: Evaluator, arch: Architecture) -> None:
    real = scored.evaluate(Request(arch, 60, source="real"))
    assert real.status == "ok"
    assert real.val_accuracy > scored.evaluate(Request(arch, 1)).val_accuracy
    assert scored.evaluate(Request(arch, 5, source="real")).key != scored.evaluate(Request(arch, 5)).key


def test_a_truth_has_a_learning_curve_whose_time_is_told(tmp_path: Path, arch: Architecture) -> None:
    scored = evaluator(tmp_path / "c.h5", "search.score_at=[]", "search.certificate.score_at=[2,4,9]")
    real, taught = scored.evaluate(Request(arch, 6, source="real")), scored.evaluate(Request(arch, 5))
    assert (sorted(real.curve), sorted(taught.curve)) == ([2, 4, 6], [5])
    assert 0 < real.extra["curve_seconds"] < real.seconds
    assert plain_seconds(real) == real.seconds - real.extra["curve_seconds"]
    assert "curve_seconds" not in taught.extra
    assert plain_seconds(taught) == taught.seconds
    alone = evaluator(tmp_path / "d.h5", "search.score_at=[]").evaluate(Request(arch, 6, source="real"))
    assert (alone.key, alone.val_loss, sorted(alone.curve)) == (real.key, real.val_loss, [6])


def test_proxies_stand_beside_estimates_alone_and_their_time_is_told(tmp_path: Path, arch: Architecture) -> None:
    options = ("search.score_at=[]", "search.proxies=[synflow,jacobian_covariance]")
    scored, plain = evaluator(tmp_path / "c.h5", *options), evaluator(tmp_path / "d.h5", "search.score_at=[]")
    taught = scored.evaluate(Request(arch, 2))
    assert sorted(taught.extra) == ["jacobian_covariance", "proxy_seconds", "synflow"]
    assert 0 < taught.extra["proxy_seconds"] < taught.seconds
    assert plain_seconds(taught) == taught.seconds - taught.extra["proxy_seconds"]
    assert taught.val_loss == plain.evaluate(Request(arch, 2)).val_loss
    for source in ("real", "real_steps", "real_seconds", "real_subset", "untrained"):
        assert not scored.evaluate(Request(arch, 2, source=source)).extra  # type: ignore[arg-type]


def test_controls_are_trained_in_the_place_of_the_curriculum(scored: Evaluator, arch: Architecture) -> None:
    sources = ("curriculum", "real_steps", "real_seconds", "real_subset", "untrained")
    rows = {source: scored.evaluate(Request(arch, 5, source=source)) for source in sources}  # type: ignore[arg-type]
    assert {row.status for row in rows.values()} == {"ok"}
    assert len({row.key for row in rows.values()}) == len({row.val_loss for row in rows.values()} - {None}) == 5
    subset, fresh = (control(source, scored.room) for source in ("real_subset", "untrained"))  # type: ignore[arg-type]
    real = {image.numpy().tobytes() for image in scored.room.splits.train.sample(400, torch_generator(0, "all")).x}
    shown = [image.numpy().tobytes() for image in subset.x.flatten(0, 1)]
    assert len(set(shown)) == len(shown) == 80
    assert set(shown) <= real
    assert torch.equal(fresh.y.sum((0, 1)), torch.full((10,), 8.0))
    assert torch.equal(subset.schedule.table()[0], scored.room.taught.schedule.table()[0])
    assert torch.equal(fresh.schedule.table()[0], torch.full((5,), scored.config.inner.lr))


def test_real_images_are_shown_again_when_those_of_the_curriculum_are(scored: Evaluator) -> None:
    room = scored.room
    once = control("real_subset", room)
    twice = control("real_subset", replace(room, taught=room.taught.repeated(2)))
    assert torch.equal(twice.x, torch.cat([once.x, once.x]))
    assert torch.equal(twice.y, torch.cat([once.y, once.y]))


def test_controls_shuffle_cycles_as_the_curriculum_does(tmp_path: Path) -> None:
    section = "teacher.curriculum={arm: all_shuffled, steps: 9, batch: 16, cycle: %d}"
    for cycle, own in ((2, 2), (7, 5)):
        room = evaluator(tmp_path / "c.h5", section % cycle, order="all").room
        taught = Frozen(room.taught.x, room.taught.y, *room.taught.schedule.table(), "all", 2)
        subset, fresh = (control(source, replace(room, taught=taught)) for source in ("real_subset", "untrained"))  # type: ignore[arg-type]
        assert (subset.cycle, fresh.cycle, fresh.steps) == (2, own, 5)
        assert fresh.episode(torch_generator(0, "test")).batch(4).x.shape == taught.x.shape[1:]


def test_a_curriculum_in_random_order_is_another_pass_for_each_replica(tmp_path: Path, arch: Architecture) -> None:
    shuffled = evaluator(tmp_path / "c.h5", order="all")
    episodes = [shuffled._episode(Request(arch, 5, replica)) for replica in (0, 0, 1)]
    images = [episode.batch(0).x for episode in episodes]
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])


@pytest.mark.parametrize(
    ("optimiser", "fast"), [("sgd", "lean"), ("adam", "lean"), ("sgd", "traced"), ("sgd", "reference")]
)
def test_a_promoted_learner_equals_a_straight_run_bit_for_bit(
    optimiser: str, fast: str, tmp_path: Path, arch: Architecture
) -> None:
    straight = evaluator(tmp_path / "c.h5", f"inner.optimiser={optimiser}", f"search.fast={fast}")
    expected = straight.evaluate(Request(arch, 5))
    kept = Evaluator(replace(straight.setting, states=tmp_path / "states"))
    for fidelity in (1, 3):
        kept.evaluate(Request(arch, fidelity))
    promoted = Evaluator(kept.setting).evaluate(Request(arch, 5))
    assert (promoted.val_loss, promoted.curve) == (expected.val_loss, expected.curve)
    assert not list((tmp_path / "states").iterdir())


def test_a_learner_is_taken_up_and_not_begun_anew(tmp_path: Path, arch: Architecture) -> None:
    plain = evaluator(tmp_path / "c.h5")
    kept = Evaluator(replace(plain.setting, states=tmp_path / "states"))
    kept.evaluate(Request(arch, 3))
    kept.room.taught.x[:3] = float("nan")
    row = kept.evaluate(Request(arch, 5))
    assert row.status == "ok"
    assert kept.evaluate(Request(arch, 5)).status == "nan"


@pytest.mark.parametrize("precision", ["float64", "bf16"])
def test_other_precisions_score_nearly_alike(
    precision: str, tmp_path: Path, scored: Evaluator, arch: Architecture
) -> None:
    other = evaluator(tmp_path / "c.h5", f"run.precision={precision}")
    found, expected = (e.evaluate(Request(arch, 1)) for e in (other, scored))
    assert found.status == "ok"
    assert found.key != expected.key


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "rmsprop"])
def test_every_way_to_take_a_step_gives_the_score_of_the_reference(
    optimiser: str, tmp_path: Path, arch: Architecture
) -> None:
    fixed = (f"inner.optimiser={optimiser}", "run.precision=float64")
    for source in ("curriculum", "real"):
        losses = {
            fast: evaluator(tmp_path / "c.h5", *fixed, f"search.fast={fast}")
            .evaluate(Request(arch, 4, source=source))  # type: ignore[arg-type]
            .val_loss
            for fast in ("reference", "lean", "traced", "graphs")
        }
        assert list(losses.values()) == pytest.approx([losses["reference"]] * 4, rel=1e-9)


class Failing(Evaluator):
    """Fails inside the training, as a broken operation or an allocator does."""

    def _learner(self, request: Request) -> None:  # type: ignore[override]
        raise RuntimeError(("DefaultCPUAllocator: can't allocate memory", "no such operation")[request.replica])


def test_what_goes_wrong_inside_is_a_status(scored: Evaluator, arch: Architecture) -> None:
    failing = Failing(scored.setting)
    failing.__dict__["room"] = scored.room
    oom, error = failing.evaluate(Request(arch, 2)), failing.evaluate(Request(arch, 2, replica=1))
    assert (oom.status, error.status) == ("oom", "error")
    assert "no such operation" in error.detail
    assert np.isnan(error.val_accuracy)


class Lost(Evaluator):
    """Finds, as it trains, that its process has no GPU any more."""

    def _learner(self, request: Request) -> None:  # type: ignore[override]
        raise DeviceLost("a step could not be recorded")


def test_a_lost_device_ends_the_process_and_is_no_status(scored: Evaluator, arch: Architecture) -> None:
    lost = Lost(scored.setting)
    lost.__dict__["room"] = scored.room
    with pytest.raises(DeviceLost, match="could not be recorded"):
        lost.evaluate(Request(arch, 2))


class Tight(Evaluator):
    """Has no memory for trainings that judge 256 images at a time."""

    def _train(self, request: Request) -> Verdict:
        if request.chunk > 32:
            raise MemoryError
        return super()._train(request)


def test_where_memory_ends_images_are_judged_in_smaller_chunks(scored: Evaluator, arch: Architecture) -> None:
    tight = Tight(scored.setting)
    tight.__dict__["room"] = scored.room
    found, expected = tight.evaluate(Request(arch, 2)), scored.evaluate(Request(arch, 2))
    assert (found.status, found.key, found.curve) == ("ok", expected.key, expected.curve)
    assert found.val_loss == pytest.approx(expected.val_loss, rel=1e-5)
    assert [request.chunk for request in (Request(arch, 2), Request(arch, 2, tries=1))] == [256, 256]
    assert Request(arch, 2, tries=2).again is None


def test_a_large_loss_counts_as_diverged(
    scored: Evaluator, arch: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gtn_hpc.training.evaluator.DIVERGED", 0.1)
    row = scored.evaluate(Request(arch, 2))
    assert row.status == "diverged"
    assert np.isnan(row.val_loss)
    assert sorted(row.curve) == [1, 2]


def test_the_header_is_that_of_the_file(scored: Evaluator, tmp_path: Path) -> None:
    path = scored.setting.curriculum
    file, header = read(path), read_header(path, scored.config.inner)
    assert (header.image, header.classes, header.steps) == (file.image, file.classes, 5)
    assert header.digest == file.digest
    assert header.inner == scored.config.inner


@pytest.mark.parametrize(("order", "cycle"), [("fixed", 2), ("all", 2), ("all", None)])
def test_the_digest_of_a_foreign_cycle_is_read_alike(tmp_path: Path, order: str, cycle: int | None) -> None:
    config, path = parse(TEXT), tmp_path / "foreign.h5"
    own = frozen(config, order)
    values = dict(zip(("x", "y", "lr", "momentum"), (own.x, own.y, *own.schedule.table()), strict=True))
    told = {"order": order} | ({} if cycle is None else {"cycle": cycle})
    columns = {name: storage.Column(value.numpy()) for name, value in values.items()}
    storage.write(path, {"/": columns}, told, schema=storage.Schema("curriculum", 1), config="")
    expected = Frozen(own.x, own.y, *own.schedule.table(), own.order, cycle)
    assert read_header(path, config.inner).digest == read(path).digest == expected.digest()


def test_a_foreign_curriculum_without_attributes_has_the_same_digest(scored: Evaluator, tmp_path: Path) -> None:
    path = scored.setting.curriculum
    values = {name: storage.Column(v) for name, v in storage.read(path, "/", ["x", "y", "lr", "momentum"]).items()}
    foreign = tmp_path / "foreign.h5"
    storage.write(foreign, {"/": values}, {"order": "fixed"}, schema=storage.Schema("curriculum", 1), config="")
    header = read_header(foreign, scored.config.inner)
    assert header.digest == read_header(path, scored.config.inner).digest
    assert header.inner == scored.config.inner
