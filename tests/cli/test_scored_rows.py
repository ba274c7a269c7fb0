"""What `gtn top` says of a search: pace with its interval, failures by kind, the slowest rank, pauses left out."""

import pytest

from gtn_hpc.cli.scored import Scored
from gtn_hpc.cli.top import _search


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


def test_one_row_gives_no_pace():
    scored = Scored()
    scored.take(row(0, time=5.0))
    told = scored.summary(5.0, planned=3)
    assert told["per_minute"] is None and "seconds_left" not in told
    assert "a minute" not in _search(told | {"certificate": 0})
