"""The final stage over journals: the best by estimate, nothing twice, resumed where it was cut."""

import os
from pathlib import Path

import pytest
from final_runs import scored

from gtn_hpc.core.errors import Requeue, RunError
from gtn_hpc.core.lock import sole
from gtn_hpc.core.records import Score
from gtn_hpc.final import stage
from gtn_hpc.final.stage import Watch, run_final
from gtn_hpc.final.weights import load_winner
from gtn_hpc.scores.journal import Journal
from gtn_hpc.scores.opened import open as open_scores
from gtn_hpc.scores.replay import read_journals


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


def test_a_better_one_of_a_larger_budget_moves_the_winners_of_before(tmp_path: Path) -> None:
    config, run, archs = scored(tmp_path, [0.2, 0.9, 0.5])
    run_final(config, run)
    assert [load_winner(run, place).arch.digest for place in (1, 2)] == [archs[1], archs[2]]
    *_, better = scored(tmp_path, [0.2, 0.9, 0.5, 0.95])[2]
    run_final(config, run)
    found = [load_winner(run, place) for place in (1, 2, 3)]
    assert [winner.arch.digest for winner in found] == [better, archs[1], archs[2]]
    assert [winner.place for winner in found] == [1, 2, 3]
    with pytest.raises(RunError, match=f"No winners in .* are called 4; there are .*2: {archs[1]}"):
        load_winner(run, 4)


def test_a_stopped_stage_tells_the_places_of_what_it_has_trained(tmp_path: Path) -> None:
    config, run, archs = scored(tmp_path, [0.2, 0.9, 0.5])
    trained: list[str] = []
    with pytest.raises(Requeue, match="1 of 2 winners"):
        run_final(config, run, Watch(row=lambda row: trained.append(row.arch), stop=lambda: bool(trained)))
    assert run.read_state()["stages"]["final"]["places"] == {archs[1]: 1}


def test_cut_off_after_an_epoch_it_goes_on_from_there(tmp_path: Path) -> None:
    config, run, _ = scored(tmp_path / "cut", [0.9])
    epochs: list[int] = []

    def note(_: object, epoch: int, __: float) -> None:
        epochs.append(epoch)

    with pytest.raises(Requeue, match=r"0 of 1 winners trained(.|\n)*Start it again: it goes on where it was"):
        run_final(config, run, Watch(epoch=note, stop=lambda: len(epochs) == 2))
    (row,) = run_final(config, run, Watch(epoch=note))
    assert epochs == [1, 2, 3]
    straight_config, straight_run, _ = scored(tmp_path / "straight", [0.9])
    (straight,) = run_final(straight_config, straight_run)
    assert (row.test_accuracy, row.test_loss, row.curve) == (straight.test_accuracy, straight.test_loss, straight.curve)
    assert len(read_journals(run.journal).finals) == 1


def test_a_start_that_fails_wants_nothing_that_an_earlier_stop_wanted(tmp_path: Path) -> None:
    config, run, _ = scored(tmp_path, [])
    run.update_state("final", wants_requeue=True)
    with pytest.raises(RunError, match="no scored architecture"):
        run_final(config, run)
    state = run.read_state()
    assert (state["wants_requeue"], state["stages"]["final"]["done"]) == (False, False)
    assert state["stages"]["final"]["status"] == "failed"
    assert "no scored architecture" in state["stages"]["final"]["reason"]


def test_a_run_without_scores_says_so(tmp_path: Path) -> None:
    config, run, _ = scored(tmp_path, [])
    with pytest.raises(RunError, match="has no scored architecture"):
        run_final(config, run)


def test_scores_of_an_architecture_that_nobody_wrote_down_are_not_trained(tmp_path: Path) -> None:
    config, run, _ = scored(tmp_path, [0.5])
    with Journal(run.journal) as journal:
        journal.append([Score("k", "unknown", 8, 0, 0.9, 1.0, "ok", 0.0, 0, 1, 1)])
    with pytest.raises(RunError, match=r"scores of unknown, but not yet what it is") as caught:
        run_final(config, run)
    assert "search.shard=0/N" in str(caught.value.remedy)


def test_a_diverged_winner_is_a_row_and_not_trained_again(tmp_path: Path) -> None:
    config, run, _ = scored(tmp_path, [0.9, 0.5], "final.recipe.lr=1e30", "final.recipe.clip=1e38")
    begun: list[int] = []
    first = run_final(config, run, Watch(begun=begun.append))
    assert [row.status for row in first] == ["nan", "nan"]
    assert [row.key for row in run_final(config, run, Watch(begun=begun.append))] == [row.key for row in first]
    assert begun == [0, 2]


def test_one_process_at_a_time_trains_the_winners_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "PATIENCE", 0.0)
    config, run, _ = scored(tmp_path, [0.9])
    before = run.config.read_text()
    with (
        sole(run.path / "final.lock", "in a test"),
        pytest.raises(RunError, match=f"is training winners in .*: process {os.getpid()} on"),
    ):
        run_final(config.model_copy(update={"final": config.final.model_copy(update={"top_k": 9})}), run)
    assert run.config.read_text() == before
    assert len(run_final(config, run)) == 1
