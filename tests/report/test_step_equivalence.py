"""How many real steps rank as well as the teacher: numbers of the files, named truths, plain words."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from report_runs import Sizes, whole_run

from gtn_hpc import scores, stats
from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.events import EventLog, meta_seconds
from gtn_hpc.core.streams import numpy_rng
from gtn_hpc.report import conclusions, figures
from gtn_hpc.report.frames import ranking
from gtn_hpc.report.frames.equivalence import _plain_seconds, _too_few, equivalence, final_truth, learning_curves
from gtn_hpc.report.frames.estimates import estimates, truths


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Forty winners on real data beside thirty learning curves."""
    return whole_run(tmp_path_factory.mktemp("equivalence"), "digits", Sizes(60, 30, 3, winners=40))


@pytest.fixture
def tables(run):
    with scores.open(run.path) as opened:
        yield opened


def by(found):
    return found.table.set_index(["ranked_by", "steps"])


@pytest.mark.parametrize("source", ["certificate", "final"])
def test_correlations_are_those_of_the_files(tables, source):
    found = equivalence(tables, source=source, resamples=300)
    truth, curves, estimate = truths(tables, source), learning_curves(tables), estimates(tables.scores)["estimate"]
    archs = sorted(set(truth.index) & set(curves.index) & set(estimate.index))
    assert len(archs) == found.sweep.reference.n >= 15
    assert found.real_steps == ((2, 8, 40) if source == "certificate" else (2, 8, 40, 1200))
    rows = by(found)
    expected = stats.spearman(estimate[archs], truth[archs], rng=ranking.generator(0), resamples=300)
    assert rows.loc[("teacher", 8), ["value", "low", "high"]].tolist() == pytest.approx(
        [expected.value, expected.low, expected.high], abs=1e-12
    )
    for steps in found.real_steps:
        expected = stats.spearman(curves.loc[archs, steps], truth[archs], rng=ranking.generator(0), resamples=300)
        assert rows.loc[("real data", steps), "value"] == pytest.approx(expected.value, abs=1e-12)
        assert rows.loc[("real data", steps), "high"] == pytest.approx(expected.high, abs=1e-12)


def test_the_truth_is_named_with_its_recipe(tables):
    assert equivalence(tables, resamples=10).truth == "sgd cosine lr=0.025, 20 epochs"
    assert equivalence(tables, source="certificate", resamples=10).truth == "real data, 1200 steps"
    assert list(conclusions.equivalence(equivalence(tables, source="certificate", resamples=10)))[-1] == (
        "The truth is the end of the same trainings, which helps real data: the crossing is rather too early."
    )


def test_several_recipes_have_to_be_told_apart(tables):
    other = tables.final.assign(recipe="sgd cosine lr=0.1 cutout=4", val_accuracy=0.5, key="o" + tables.final["key"])
    tables.final = pd.concat([tables.final, other], ignore_index=True)
    with pytest.raises(StorageError, match=r"2 recipes:(.|\n)*cutout=4, 20 epochs(.|\n)*--recipe"):
        equivalence(tables)
    name, truth = final_truth(tables, "cutout")
    assert name == "sgd cosine lr=0.1 cutout=4, 20 epochs"
    assert set(truth) == {0.5}
    with pytest.raises(StorageError, match="0 architectures have"):
        equivalence(tables, recipe="adam")
    assert "1 architecture has an estimate" in str(_too_few(tables.path, 1, "adam", "final"))


def test_seconds_leave_out_what_no_ranking_needs():
    rows = pd.DataFrame({"seconds": [9.0, 8.0, 7.0], "curve_seconds": [1.0, np.nan, 2.0]})
    assert _plain_seconds(rows).tolist() == [8, 8, 5]
    assert _plain_seconds(rows.assign(proxy_seconds=[np.nan, 3.0, 1.0])).tolist() == [8, 5, 4]
    assert _plain_seconds(rows[["seconds"]]).tolist() == [9, 8, 7]


def test_seconds_are_of_one_architecture_with_one_measurement(tables, run):
    """A truth took 9 s of 1,200 steps, 0.6 s of them for three measurements on the way: 0.2 s each, one at the end."""
    found = equivalence(tables, source="certificate", resamples=10)
    rows = by(found)["seconds"]
    assert rows["real data", 40] == pytest.approx(0.2 + 40 * (9 - 0.6 - 0.2) / 1200)
    archs = learning_curves(tables).index
    taught = tables.scores.set_index("arch").loc[archs, "seconds"].mean()
    assert rows["teacher", 8] == pytest.approx(taught)
    assert meta_seconds(run.path) == pytest.approx(400 * 0.4)
    assert by(found)["seconds_with_teaching"]["teacher", 8] == pytest.approx(taught + 160 / 60)
    given = equivalence(tables, source="certificate", resamples=10, meta=6000.0).seconds
    assert given.with_teaching == pytest.approx(taught + 100)
    assert given.pays_from(500) == pytest.approx(6000 / (0.2 + 500 * 8.2 / 1200 - taught))
    assert given.pays_from(1) == math.inf


def test_seconds_of_meta_training_are_those_of_all_ranks(tmp_path):
    with EventLog(tmp_path / "events" / "train.jsonl") as log:
        for iteration in (9, 19):
            log.write("iterated", iteration=iteration, seconds=0.5, ranks=4)
    assert meta_seconds(tmp_path) == pytest.approx(20 * 0.5 * 4)
    assert math.isnan(meta_seconds(tmp_path / "nowhere"))


def shaken(tables, noise, first=0.0):
    """The run with estimates that see the truth through `noise`, and curves through `first` at the first step."""
    truth, rng = truths(tables), numpy_rng(0, "shaken")
    seen = tables.scores["arch"].map(truth).fillna(0.5)
    tables.scores = tables.scores.assign(val_accuracy=seen + noise * rng.normal(size=len(seen)), status="ok")
    if first:
        curves = tables.curves.merge(tables.certificate[["key", "arch"]], on="key", how="left")
        early = curves["step"] < 1200
        exact = curves["arch"].map(truth) + 1e-9 * first * rng.normal(size=len(curves))
        tables.curves = tables.curves.assign(val_accuracy=curves["val_accuracy"].where(~early, exact))
    return equivalence(tables, source="certificate", resamples=200)


def test_it_is_said_plainly_that_real_data_never_rank_as_well(tables):
    found = shaken(tables, 1e-6)
    assert found.sweep.meets.value == math.inf
    words = list(conclusions.equivalence(found))
    assert "never rank as well within the 40 steps" in words[1]
    assert not [text for text in words if "inf" in text or "nan" in text]
    assert found.facts["share_of_resamples_never"] > 0.9


def test_it_is_said_plainly_that_real_data_rank_as_well_at_once(tables):
    found = shaken(tables, 1.0, first=1.0)
    assert found.sweep.meets.value == 2
    assert "at least as well at once, after the 2 steps recorded first" in list(conclusions.equivalence(found))[1]


def test_the_crossing_is_told_in_steps_and_seconds(tables):
    found = equivalence(tables, source="certificate", resamples=300)
    meets = found.sweep.meets.value
    assert 2 < meets < 40
    words = " ".join(conclusions.equivalence(found))
    assert f"after {meets:.3g} [" in words
    assert f"{meets / 8:.3g} [" in words
    assert ("is not shown by so few" in words) == (found.sweep.meets.low <= 8)
    assert f"{found.seconds.real(meets) / found.seconds.taught:.3g} [" in words
    crossing = found.crossing.set_index("axis")["value"]
    assert crossing["seconds"] == pytest.approx(found.seconds.real(meets))


@pytest.mark.parametrize(
    ("meets", "rho", "said", "unsaid"),
    [
        ((20, 12, 30), (0.1, 0.2, 0.9), "first rank as well after 20 [12, 30] steps", ("again", "saves")),
        ((4, 3, 6), (0.1, 0.9, 0.2), "At 40 steps they rank less well again. The teacher saves no steps", ("so few",)),
        ((9, 7, 12), (0.1, 0.2, 0.9), "That the teacher saves steps is not shown by so few", ("again", "saves no")),
    ],
)
def test_a_crossing_says_what_follows_from_it_and_no_more(tables, meets, rho, said, unsaid):
    found = equivalence(tables, source="certificate", resamples=10)
    value, low, high = map(float, meets)
    candidates = tuple(replace(found.sweep.reference, value=one) for one in rho)
    sweep = replace(
        found.sweep,
        reference=replace(found.sweep.reference, value=0.5),
        candidates=candidates,
        meets=replace(found.sweep.meets, value=value, low=low, high=high),
    )
    words = " ".join(conclusions.equivalence(replace(found, sweep=sweep)))
    assert said in words
    assert not [text for text in unsaid if text in words]


def test_trainings_of_their_own_stand_beside_those_on_the_way(tables):
    rows = tables.certificate
    short = rows.assign(source="real_steps", steps=8, seconds=1.1, key="s" + rows["key"])
    tables.certificate = pd.concat([rows, short], ignore_index=True)
    found = equivalence(tables, source="certificate", resamples=50)
    (own,) = found.own.to_dict("records")
    assert (own["steps"], own["seconds"], own["value"]) == (8, pytest.approx(0.5), pytest.approx(1.0))
    assert "A training of its own of 8 steps" in " ".join(conclusions.equivalence(found))


def test_controls_of_equally_many_steps_are_not_mixed(tables):
    rows = tables.certificate
    in_steps = rows.assign(source="real_steps", steps=8, seconds=1.1, key="s" + rows["key"])
    in_seconds = rows.assign(source="real_seconds", steps=8, seconds=2.1, val_accuracy=-rows["val_accuracy"],
                             key="t" + rows["key"])  # fmt: skip
    tables.certificate = pd.concat([rows, in_steps, in_seconds], ignore_index=True)
    found = equivalence(tables, source="certificate", resamples=50)
    own = found.own.set_index("note")[["steps", "value", "seconds"]]
    assert own.loc["control real_steps; all resamples rank alike"].tolist() == pytest.approx([8, 1.0, 0.5])
    assert own.loc["control real_seconds; all resamples rank alike"].tolist() == pytest.approx([8, -1.0, 1.5])
    words = " ".join(conclusions.equivalence(found))
    assert "1.00] (control real_steps" in words and "-1.00] (control real_seconds" in words


def test_without_learning_curves_it_is_said_how_to_record_them(tables):
    tables.curves = tables.curves[tables.curves["table"] != "certificate"]
    with pytest.raises(StorageError, match=r"search\.certificate\.score_at"):
        equivalence(tables)


def test_steps_that_some_did_not_record_are_left_out(tables):
    keys = tables.certificate["key"].iloc[:2]
    partly, without = keys.iloc[0], keys.iloc[1]
    curves = tables.curves
    lost = ((curves["key"] == partly) & (curves["step"] == 8)) | ((curves["key"] == without) & (curves["step"] < 1200))
    tables.curves = curves[~lost]
    found = learning_curves(tables)
    assert found.columns.tolist() == [2, 40, 1200]
    assert len(found) == 29


def test_the_figure_shows_each_run_in_steps_and_in_seconds(tables):
    found = equivalence(tables, source="certificate", resamples=20)
    shown = [figures.Swept(name, found.truth, found.table, found.crossing) for name in ("one", "two")]
    spec = figures.equivalence(shown).to_dict()
    panels = [panel for row in spec["vconcat"] for panel in row["hconcat"]]
    assert [row["title"]["text"] for row in spec["vconcat"]] == ["one", "two"]
    assert len(panels) == 4
    assert [len(panel["layer"]) for panel in panels] == [8, 9, 8, 9]
    assert np.isfinite(found.table["seconds"]).all()
