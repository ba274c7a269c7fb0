"""Winners on real data: resumable bit for bit, the best epoch by validation, one look at the test split."""

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gtn_hpc.config import Config, parse
from gtn_hpc.core.errors import ConfigError, NonFiniteError, OutOfMemory, RunError
from gtn_hpc.core.records import Batch
from gtn_hpc.data import ImageSet, Splits, load
from gtn_hpc.final.finisher import Finisher
from gtn_hpc.final.trainer import Trainer, require_finite
from gtn_hpc.final.weights import load_winner
from gtn_hpc.final.winner import Progress, Winner, key_of, recipe_of
from gtn_hpc.scores.rows import FinalRow

CELLS = """
run: {name: final}
data: {train: 150}
search: {space: {name: nao_cell, cells: 1, filters: 2, nodes: 2}}
final:
  epochs: 3
  checkpoint_every: 2
  recipe: {batch: 50, dropout: 0.2, drop_path: 0.2, auxiliary: 0.4, cutout: 2, crop: 1, flip: true, lr: 0.1}
"""
CONV = """
run: {name: final}
data: {train: 300}
search: {space: {name: conv, widths: [[4, 9], [4, 9], [4, 9]]}}
final: {epochs: 4, recipe: {batch: 32, lr: 0.2}}
"""


class Counted(ImageSet):
    """An image set that counts how often it is gone through."""

    passes: list[int]

    def epoch(self, *arguments: object, **options: object) -> Iterator[Batch]:
        self.passes.append(1)
        return super().epoch(*arguments, **options)  # type: ignore[arg-type]


def counted(images: ImageSet, labels: Tensor | None = None) -> Counted:
    found = Counted(images.images, images.labels if labels is None else labels, images.classes, images.normalisation)
    object.__setattr__(found, "passes", [])
    return found


def setting(text: str, *overrides: str) -> tuple[Config, Splits]:
    config = parse(text, overrides)
    return config, load(config.data, seed=0)


def winner(finisher: Finisher) -> Winner:
    return Winner(finisher.space.canonical(finisher.space.sample(np.random.default_rng(0))), 1, 0.5)


def finish(finisher: Finisher, chosen: Winner) -> FinalRow:
    while isinstance(found := finisher.train(chosen), Progress):
        pass
    return found


def timeless(row: FinalRow) -> FinalRow:
    return replace(row, seconds=0.0, time=0.0, peak_bytes=0)


def test_a_training_in_stretches_of_an_epoch_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    config, splits = setting(CELLS, "final.checkpoint_every=9")
    whole = Finisher(config, splits, tmp_path / "whole")
    expected = whole.train(winner(whole))
    assert isinstance(expected, FinalRow)
    stopped = Finisher(config, splits, tmp_path / "stopped", longest=0.0)
    for epochs in (1, 2):
        found = stopped.train(winner(stopped))
        assert found == Progress(epochs, expected.curve[epochs])
    assert timeless(finish(stopped, winner(stopped))) == timeless(expected)
    assert expected.status == "ok"
    assert expected.epochs == len(expected.curve) == 3


def test_the_best_epoch_is_chosen_by_validation_and_test_is_looked_at_once(tmp_path: Path) -> None:
    config, splits = setting(CONV)
    test = counted(splits.test)
    finisher = Finisher(config, replace(splits, test=test), tmp_path)
    row = finish(finisher, winner(finisher))
    assert len(test.passes) == 1
    assert row.val_accuracy == max(row.curve.values()) == row.curve[row.best_epoch]
    assert row.test_accuracy > 0.4
    assert row.extra == {"place": 1, "estimate": 0.5}
    assert "lr=0.2" in row.recipe


def test_another_test_split_changes_nothing_but_the_test_accuracy(tmp_path: Path) -> None:
    config, splits = setting(CONV)
    scrambled = counted(splits.test, (splits.test.labels + 1) % 10)
    first, second = (
        Finisher(config, s, tmp_path / n) for n, s in (("a", splits), ("b", replace(splits, test=scrambled)))
    )
    row, other = finish(first, winner(first)), finish(second, winner(second))
    assert timeless(replace(other, test_accuracy=row.test_accuracy, test_loss=row.test_loss)) == timeless(row)
    assert other.test_accuracy < row.test_accuracy


def test_the_weights_that_are_tested_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    config, splits = setting(CONV, "final.epochs=12")
    finisher = Finisher(config, splits, tmp_path)
    row = finish(finisher, winner(finisher))
    trainer = finisher._trainer(row.key)
    again = trainer.begin(finisher._network(winner(finisher), row.key))
    trainer.run(again, splits.train, splits.validation, lambda _: None)
    assert row.best_epoch < row.epochs
    again.network.load_state_dict(again.best)
    assert trainer.judge(again.network, splits.validation).accuracy == row.val_accuracy
    assert trainer.judge(again.network, splits.test).accuracy == row.test_accuracy


@pytest.mark.parametrize("text", [CELLS, CONV])
def test_a_winner_that_is_loaded_gives_the_accuracy_of_its_row(text: str, tmp_path: Path) -> None:
    config, splits = setting(text)
    finisher = Finisher(config, splits, tmp_path)
    row = finish(finisher, winner(finisher))
    loaded = load_winner(tmp_path, row.arch[:6])
    assert (loaded.arch, loaded.place, loaded.epoch) == (winner(finisher).arch, 1, row.best_epoch)
    assert loaded.classes == splits.class_names
    images, labels = splits.test.images, splits.test.labels
    shape = (1, -1, 1, 1)
    x = (images / 255 - torch.tensor(loaded.mean).reshape(shape)) / torch.tensor(loaded.std).reshape(shape)
    right = (loaded.network(x).argmax(dim=1) == labels).float().mean()
    assert float(right) == pytest.approx(row.test_accuracy, abs=1.5 / len(labels))
    assert loaded.test_accuracy == row.test_accuracy


def test_a_winner_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    config, splits = setting(CONV)
    with pytest.raises(RunError, match="there are none"):
        load_winner(tmp_path)
    finisher = Finisher(config, splits, tmp_path)
    row = finish(finisher, winner(finisher))
    with pytest.raises(RunError, match=f"No winners in .* are called 2; there are 1: {row.arch}"):
        load_winner(tmp_path, 2)


def test_a_diverging_training_is_a_row(tmp_path: Path) -> None:
    config, splits = setting(CONV, "final.recipe.lr=1e30", "final.recipe.clip=1e38")
    finisher = Finisher(config, splits, tmp_path)
    row = finish(finisher, winner(finisher))
    assert row.status == "nan"
    assert np.isnan(row.test_accuracy)
    assert "The gradient's norm is" in row.detail and "in epoch 1." in row.detail


def test_of_several_steps_the_first_norm_that_is_not_finite_is_told() -> None:
    norms = [torch.tensor(v) for v in (1.0, float("inf"), float("nan"), 2.0)]
    require_finite(norms[:1], 3)
    require_finite([], 3)
    with pytest.raises(NonFiniteError, match=r"norm is inf in epoch 4\."):
        require_finite(norms, 3)


def test_drop_path_rises_from_epoch_to_epoch(tmp_path: Path) -> None:
    config, splits = setting(CELLS)
    finisher, found = Finisher(config, splits, tmp_path), list[float]()
    training = finisher._trainer("k").begin(finisher._network(winner(finisher), "k"))
    finisher._trainer("k").run(
        training, splits.train, splits.validation, lambda after: found.append(after.network.drop_path)
    )
    assert found == pytest.approx([0.2 / 3, 0.4 / 3, 0.2])


def test_a_rising_drop_path_has_keys_and_a_recipe_of_its_own(tmp_path: Path) -> None:
    config, splits = setting(CELLS)
    arch = winner(Finisher(config, splits, tmp_path)).arch
    without = setting(CELLS, "final.recipe.drop_path=0")[0]
    assert key_of(without, arch) == "e7607ff57a96e344001d749a4ac83fdd"
    constant = "203c8a5c1733c787f8b66911bb3691e5"  # what an earlier release, which did not raise it, had
    assert key_of(config, arch) != constant
    assert "drop_path=0.2,rising" in recipe_of(config)
    assert "drop_path" not in recipe_of(without)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory.\nMore"), MemoryError()])
def test_memory_that_ends_is_told_with_what_takes_less(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*_: object) -> None:
        raise error

    config, splits = setting(CELLS)
    monkeypatch.setattr(Trainer, "_step", ended)
    finisher = Finisher(config, splits, tmp_path)
    with pytest.raises(OutOfMemory, match="no memory left to train a winner") as caught:
        finisher.train(winner(finisher))
    sent = pickle.loads(pickle.dumps(caught.value))
    for key in ("final.recipe.batch", "final.recipe.cells", "final.recipe.filters"):
        assert key in sent.remedy


def test_a_larger_final_network_than_the_searched_one(tmp_path: Path) -> None:
    config, splits = setting(CELLS, "final.recipe.filters=4", "final.epochs=1")
    small, large = (Finisher(c, splits, tmp_path) for c in (setting(CELLS)[0], config))
    chosen = winner(small)
    assert finish(large, chosen).params == large.space.params(chosen.arch) > small.space.params(chosen.arch)


@pytest.mark.parametrize(
    "override", ["final.recipe.cells=2", "final.recipe.drop_path=0.2", "final.recipe.auxiliary=0.4"]
)
def test_what_only_cell_networks_have_is_refused_for_others(override: str, tmp_path: Path) -> None:
    config, splits = setting(CONV, override)
    with pytest.raises(ConfigError):
        finisher = Finisher(config, splits, tmp_path)
        finish(finisher, winner(finisher))


def test_a_last_batch_of_one_image_is_left_out(tmp_path: Path) -> None:
    config, splits = setting(CONV, "data.train=33", "final.epochs=1")
    finisher = Finisher(config, splits, tmp_path)
    assert torch.isfinite(torch.tensor(finish(finisher, winner(finisher)).val_accuracy))
