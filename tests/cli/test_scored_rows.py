"""What `gtn top` says of a search: pace and time left with intervals, failures by kind, the slowest rank, no pauses."""

import time

import pytest

from gtn_hpc.cli.scored import Scored
from gtn_hpc.cli.standing import Watcher
from gtn_hpc.cli.top import _search, lines
from gtn_hpc.core.records import Score
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import Journal


def row(number, *, time, rank=0, seconds=1.0, status="ok", accuracy=0.5):
    return {
        "kind": "score", "key": f"k{number}", "arch": f"a{number}", "status": status, "time": time, "rank": rank,
        "seconds": seconds, "host": f"n{rank}", "val_accuracy": accuracy,
    }  # fmt: skip


def test_pace_and_time_left_with_their_intervals():
    scored = Scored()
    for number in range(61):
        scored.take(row(number, time=float(number), accuracy=number / 100))
        scored.take(row(number, time=999.0, accuracy=0.99))
    told = scored.summary(60.0, planned=121)
    assert (told["rows"], told["best"], told["best_arch"]) == (61, 0.6, "a60")
    assert told["per_minute"] == pytest.approx(60.0)
    low, high = told["per_minute_interval"]
    assert (round(low, 1), round(high, 1)) == (45.8, 77.2)
    assert told["seconds_left"] == pytest.approx(60.0)
    assert told["seconds_left_interval"] == pytest.approx([3600 / high, 3600 / low])
    assert "seconds_left" not in scored.summary(60.0, planned=None) and "61 of 121 evaluations" in _search(
        told | {"certificate": 0}
    )


def test_a_pause_between_two_starts_does_not_count():
    scored = Scored()
    for number in range(20):
        scored.take(row(number, time=number + (100_000.0 if number >= 10 else 0.0)))
    assert scored.summary(100_019.0, planned=40)["per_minute"] == pytest.approx(60.0)


def score(key, *, time):
    return Score(key, f"arch{key}", 8, 0, 0.5, 1.0, "ok", 0.9, 0, 1, 1, time=time)


def truth(number, *, time, seconds, source="truth"):
    return {
        "kind": "certificate", "key": f"t{number}", "arch": f"a{number}", "source": source, "replica": 0, "time": time,
        "seconds": seconds,
    }  # fmt: skip


def test_the_time_left_counts_trainings_on_real_data_by_how_long_they_take():
    """One worker: 20 scores of 1 s, then 2 truths of 30 s; 5 scores, 4 truths and 2 controls are to come."""
    scored = Scored()
    for number in range(21):
        scored.take(row(number, time=float(number)))
    told = scored.summary(20.0, 26, {"truth": 6})
    assert "seconds_left" not in told
    assert told["seconds_left_at_least"] == pytest.approx(5.0)
    assert "at least 0:05 left, 0 trained for the certificate, 6 to come" in _search(told)
    assert "time left unknown" in _search(scored.summary(20.0, 21, {"truth": 6}))
    for number in (0, 1, 1):
        scored.take(truth(number, time=50.0 + 30 * number, seconds=30.0))
    told = scored.summary(80.0, 26, {"truth": 4})
    assert told["seconds_left"] == pytest.approx(5 + 4 * 30)
    low, high = told["seconds_left_interval"]
    assert low < told["seconds_left"] < high
    assert (told["certificate"], told["certificate_left"]) == (2, {"truth": 4})
    assert "2:05 left (1:" in _search(told) and "2 trained for the certificate, 4 to come" in _search(told)
    assert "seconds_left" not in scored.summary(80.0, 26, {"truth": 4, "untrained": 2})


@pytest.mark.parametrize(
    ("status", "said"),
    [("interrupted", "interrupted: the same"), ("stopped", "stopped: the same"), ("failed", "failed: No room")],
)
def test_a_search_that_nobody_runs_has_no_time_left(tmp_path, status, said):
    run = RunDirectory(tmp_path)
    run.create()
    run.config.write_text("run: {name: a}\nsearch: {budget: 99}")
    with Journal(run.journal) as journal:
        journal.append([score(f"k{number}", time=time.time() - number) for number in range(9)])
    run.update_state("search", status="running", reason=None)
    told = Watcher(run).look()["search"]
    assert "seconds_left_at_least" in told and " left" in _search(told)
    run.update_state("search", status=status, reason="No room." if status == "failed" else None)
    found = Watcher(run).look()
    assert not {"seconds_left", "seconds_left_at_least"} & found["search"].keys()
    (line,) = list(lines(found))[1:]
    assert said in line and " left" not in line and "to come" not in line


def test_a_stage_that_failed_before_its_first_result_says_so(tmp_path):
    run = RunDirectory(tmp_path)
    for stage in ("train", "search", "final"):
        run.update_state(stage, status="failed", reason="No room.\nMore.")
    told = list(lines(Watcher(run).look()))[1:]
    assert [line.split()[0] for line in told] == ["train", "search", "final"]
    assert all(line.endswith(", failed: No room.") for line in told)


def test_a_long_training_is_no_pause():
    scored = Scored()
    for number in range(20):
        scored.take(row(number, time=float(number)))
    scored.take(truth(0, time=519.0, seconds=500.0))
    assert scored.summary(519.0, 20, {"truth": 2})["seconds_left"] == pytest.approx(1000.0)


def test_failures_by_kind_and_the_slowest_rank():
    scored = Scored()
    for number in range(9):
        scored.take(row(number, time=0.0, rank=number % 3, seconds=4.0 if number % 3 == 2 else 1.0))
    scored.take(row(9, time=1.0, status="oom"))
    told = scored.summary(7.0, planned=10)
    assert told["statuses"] == {"ok": 9, "oom": 1} and "seconds_left" not in told
    slowest = told["slowest_rank"]
    assert (slowest["rank"], slowest["host"], slowest["mean_seconds"], slowest["median_of_others"]) == (
        2,
        "n2",
        4.0,
        1.0,
    )
    text = _search(told | {"certificate": 0})
    assert "1 oom" in text and "slowest rank 2 on n2: 4.0 s each, the others 1.0 s" in text


def test_of_failures_none_is_the_best_and_an_accuracy_of_nothing_may_be():
    scored = Scored()
    for number, status in enumerate(("nan", "timeout")):
        scored.take(row(number, time=float(number), status=status, accuracy=None))
    told = scored.summary(5.0, planned=3)
    assert (told["best"], told["best_arch"]) == (None, None) and "best" not in _search(told)
    scored.take(row(2, time=3.0, accuracy=0.0))
    told = scored.summary(5.0, planned=3)
    assert (told["best"], told["best_arch"]) == (0.0, "a2") and "best 0.0 % (a2)" in _search(told)


def test_the_best_is_by_what_was_told_at_the_most_steps_where_anything_was():
    """Means over replicas, as gtn search names them, and of equal ones the first digest; a2 failed at more steps."""
    scored = Scored()
    scored.take(row(0, time=0.0, accuracy=0.9))
    assert scored.summary(1.0, planned=None)["best_arch"] == "a0"
    outcomes = [("a0", 0.7, 8), ("a1", 0.99, 4), ("a3", 0.8, 8), ("a2", 0.8, 8), ("a4", 0.6, 8), ("a2", "-inf", 16)]
    for ask, (arch, value, steps) in enumerate(outcomes):
        scored.take({"kind": "tell", "ask": ask, "arch": arch, "value": value, "fidelity": steps})
    scored.take(row(1, time=1.0, accuracy=0.95))
    told = scored.summary(2.0, planned=None)
    assert (told["best"], told["best_arch"]) == (0.8, "a2")


def test_one_row_gives_no_pace():
    scored = Scored()
    scored.take(row(0, time=5.0))
    told = scored.summary(5.0, planned=3)
    assert told["per_minute"] is None and "seconds_left" not in told
    assert "a minute" not in _search(told | {"certificate": 0})
