"""A run with a teacher of its own whose search took another: that one is shown and charged."""

import numpy as np
import pytest
from report_runs import Sizes, configured, whole_run, write_curriculum, write_events

from gtn_hpc import scores
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.report.evidence import gather
from gtn_hpc.report.frames.table1 import winners
from gtn_hpc.report.frames.teaching import teacher_seconds


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
