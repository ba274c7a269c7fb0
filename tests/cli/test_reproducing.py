"""`gtn reproduce` of rows that did not end well."""

import math
import shutil

import pytest
from gtn_process import gtn

from gtn_hpc import scores
from gtn_hpc.scores import files


@pytest.mark.parametrize(
    ("status", "code", "said", "equal"),
    [("timeout", 0, "timeout: left out", None), ("nan", 1, "nan before, ok now", False)],
)
def test_what_ended_otherwise_is_told_by_its_status(workplace, tmp_path, status, code, said, equal):
    run = workplace / "runs" / "small"
    with scores.open(run) as tables:
        arch, config, environment = tables.scores["arch"].iloc[0], tables.config, tables.environment
    changed = files.load(run / "scores.h5")
    rows = changed["scores"]
    changed["scores"] = rows | {"status": rows["status"].astype("S9")}
    changed["scores"]["status"][:] = status.encode()
    changed["scores"]["val_accuracy"] = rows["val_accuracy"] * math.nan
    files.write(tmp_path / "scores.h5", changed, config=config, environment=environment)
    shutil.copy(run / "curriculum.h5", tmp_path)
    people = gtn("reproduce", tmp_path / "scores.h5", "--arch", arch, cwd=workplace)
    assert (people.code, said in people.out) == (code, True)
    done = gtn("reproduce", tmp_path / "scores.h5", "--arch", arch, "--json", cwd=workplace)
    assert (done.code, [(row["status"], row["equal"]) for row in done.json["rows"]]) == (code, [(status, equal)])
