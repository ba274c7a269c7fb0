"""A run with a teacher of its own whose search took another: that one is shown and charged."""

import h5py
import numpy as np
import pytest
from report_runs import Sizes, configured, whole_run, write_curriculum, write_events

from gtn_hpc import scores
from gtn_hpc.config.claim import claim
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.report.evidence import gather
from gtn_hpc.report.frames.table1 import winners
from gtn_hpc.report.frames.teaching import teacher_seconds
from gtn_hpc.report.sections.provenance import reproduction
from gtn_hpc.report.sections.summary import summary
from gtn_hpc.report.sections.teacher import shown, taught


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Its own teacher has 8 steps and took 400 meta-iterations of 0.4 s, the named one 5 and 100."""
    root = tmp_path_factory.mktemp("named")
    teacher = RunDirectory(root / "teacher")
    write_events(teacher, 100)
    write_curriculum(teacher.curriculum, configured(root), steps=5)
    return whole_run(root, "pupil", Sizes(8, 4, 0), f"search.curriculum={teacher.curriculum}")


def test_the_report_shows_the_teacher_of_the_search(run):
    evidence = gather(run)
    assert evidence.lessons.steps == 5
    assert evidence.curriculum.parent.name == "teacher"
    assert max(event["iteration"] for event in evidence.events) == 100


def commands_of(evidence):
    *_, text = reproduction(evidence)
    return [line for line in text.text.splitlines() if not line.startswith("git ")]


def test_both_teachers_are_made_again_where_there_are_two(run):
    assert commands_of(gather(run))[:4] == [
        f"gtn train {run.path}",
        f"gtn evaluate {run.path}",
        f"gtn evaluate {run.path.parent}/teacher/curriculum.h5",
        f"gtn search {run.path}",
    ]


def only_searched(root, teacher):
    """A run that has no teacher of its own."""
    run = whole_run(root, "pupil", Sizes(8, 4, 0), f"search.curriculum={teacher}")
    run.curriculum.unlink()
    run.training_events.unlink()
    return run


def test_a_run_that_was_not_taught_is_not_taught_by_what_is_pasted(tmp_path):
    """And paths are quoted."""
    root, teacher = tmp_path / "two words", tmp_path / "two words" / "teacher.h5"
    write_curriculum(teacher, configured(tmp_path), evaluated=False)
    run = only_searched(root, teacher)
    first, second, *_, last = commands_of(gather(run))
    assert (first, second) == (f"gtn evaluate '{teacher}'", f"gtn search '{run.path}'")
    assert last == f"gtn report '{run.path}'"
    assert any(line.startswith(f"gtn reproduce '{run.scores}' --arch ") for line in commands_of(gather(run)))
    (told, *_) = taught(gather(run))
    assert f"{teacher} holds no accuracies of learners" in told.text
    assert told.text.endswith(f"this command prints some: gtn evaluate '{teacher}'")


def test_a_file_without_a_configuration_is_judged_by_that_of_the_run(tmp_path):
    teacher = tmp_path / "teacher.h5"
    with h5py.File(teacher, "w") as file:
        file["x"], file["y"] = np.zeros((3, 10, 1, 8, 8)), np.eye(10)[None].repeat(3, axis=0)
        file["lr"], file["momentum"] = np.full(3, 0.1), np.full(3, 0.5)
        file.attrs.update(schema_kind="curriculum", schema_version=1, order="fixed")
    run = only_searched(tmp_path, teacher)
    assert commands_of(gather(run))[0] == f"gtn evaluate {teacher} --config {run.path}"


def test_what_comes_first_is_the_search(tmp_path):
    run = claim(configured(tmp_path, "pupil", f"search.curriculum={tmp_path}/teacher.h5"), "search")
    (told,) = summary(gather(run))
    assert told.command == f"gtn search {run.path}"


def test_a_named_teacher_that_is_gone_is_not_taught_here(tmp_path):
    run = only_searched(tmp_path, tmp_path / "gone.h5")
    for block in (next(taught(gather(run))), next(shown(gather(run)))):
        assert (
            block.text == f"The search takes the curriculum {tmp_path}/gone.h5 (search.curriculum), which is not there."
        )


def test_its_meta_training_is_charged(run):
    with scores.open(run.scores) as tables:
        assert teacher_seconds(tables) == pytest.approx(100 * 0.4)
    (row,) = winners({"pupil": run.path}).to_dict("records")
    assert row["teaching_hours"] == pytest.approx(100 * 0.4 / 3600)
    assert row["method"] == "random search + GTN"


def test_where_it_is_gone_the_own_one_does_not_stand_in(tmp_path):
    run = whole_run(tmp_path, "pupil", Sizes(8, 4, 0), f"search.curriculum={tmp_path / 'gone' / 'curriculum.h5'}")
    (row,) = winners({"pupil": run.path}).to_dict("records")
    assert row["method"] == "random search + GTN (unknown)"
    assert np.isnan(row["teaching_hours"])
    assert gather(run).lessons is None
