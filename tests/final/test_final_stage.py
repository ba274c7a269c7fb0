"""The final stage over journals: the best by estimate, nothing twice, resumed where it was cut."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from gtn_hpc.config import Config, parse
from gtn_hpc.config.claim import claim
from gtn_hpc.core.errors import Requeue, RunError
from gtn_hpc.core.records import ImageShape, Score
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.final.stage import Watch, run_final
from gtn_hpc.scores.journal import Journal
from gtn_hpc.scores.opened import open as open_scores
from gtn_hpc.scores.replay import read_journals
from gtn_hpc.scores.rows import ArchitectureRow
from gtn_hpc.spaces import make_space

TEXT = """
run: {name: stage}
data: {train: 200}
search: {space: {name: conv, widths: [[4, 9], [4, 9], [4, 9]]}}
final: {top_k: 2, epochs: 3, checkpoint_every: 1, recipe: {lr: 0.1, batch: 64}}
"""


def scored(root: Path, accuracies: Sequence[float]) -> tuple[Config, RunDirectory, list[str]]:
    """A run whose search found these accuracies, and the digests of its architectures."""
    torch.set_num_threads(1)
    config = parse(TEXT, [f"run.root={root}"])
    run = claim(config, "search")
    space, rng = make_space(config.search.space, ImageShape(1, 8, 8), 10), np.random.default_rng(0)
    archs = [space.canonical(space.sample(rng)) for _ in accuracies]
    with Journal(run.journal) as journal:
        for arch, accuracy in zip(archs, accuracies, strict=True):
            journal.append([ArchitectureRow.of(arch, params=1, flops=1)])
            journal.append([Score(arch.digest, arch.digest, 8, 0, accuracy, 1.0, "ok", 0.0, 0, 1, 1)])
    return config, run, [arch.digest for arch in archs]


def test_the_best_are_trained_and_folded(tmp_path: Path) -> None:
    config, run, archs = scored(tmp_path, [0.2, 0.9, 0.5])
    rows = run_final(config, run)
    assert [row.arch for row in rows] == [archs[1], archs[2]]
    assert [row.extra["place"] for row in rows] == [1, 2]
    with open_scores(run.scores) as tables:
        assert sorted(tables.final.arch) == sorted([archs[1], archs[2]])
        assert tables.final.test_accuracy.between(0, 1).all()
        assert list(tables.final.data) == ["digits", "digits"]
        assert (tables.curves.table == "final").sum() == 6


def test_what_was_trained_is_not_trained_again(tmp_path: Path) -> None:
    config, run, archs = scored(tmp_path, [0.2, 0.9, 0.5])
    first = run_final(config, run)
    trained: list[str] = []
    more = config.model_copy(update={"final": config.final.model_copy(update={"top_k": 3})})
    rows = run_final(more, run, Watch(row=lambda row: trained.append(row.arch)))
    assert trained == [archs[0]]
    assert rows[:2] == first


def test_cut_off_after_an_epoch_it_goes_on_from_there(tmp_path: Path) -> None:
    config, run, _ = scored(tmp_path / "cut", [0.9])
    epochs: list[int] = []

    def note(_: object, epoch: int, __: float) -> None:
        epochs.append(epoch)

    with pytest.raises(Requeue):
        run_final(config, run, Watch(epoch=note, stop=lambda: len(epochs) == 2))
    (row,) = run_final(config, run, Watch(epoch=note))
    assert epochs == [1, 2, 3]
    straight_config, straight_run, _ = scored(tmp_path / "straight", [0.9])
    (straight,) = run_final(straight_config, straight_run)
    assert (row.test_accuracy, row.test_loss, row.curve) == (straight.test_accuracy, straight.test_loss, straight.curve)
    assert len(read_journals(run.journal).finals) == 1


def test_a_run_without_scores_says_so(tmp_path: Path) -> None:
    config, run, _ = scored(tmp_path, [])
    with pytest.raises(RunError, match="has no scored architecture"):
        run_final(config, run)
