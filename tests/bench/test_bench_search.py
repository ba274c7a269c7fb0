"""The farm and store benches with real ranks, children and files: their rows. No assertion on time."""

import json
from pathlib import Path

import pytest

from gtn_hpc.bench import search, store
from gtn_hpc.bench.farms import WORKERS, Task, workload
from gtn_hpc.core.errors import UsageError


def test_both_farms_over_mpi_do_every_task() -> None:
    if search.why_not("gtn"):
        pytest.skip(str(search.why_not("gtn")))
    for system in ("gtn", "mpi4py.futures"):
        (seconds,) = search._measure(system, 1, ["sleep:5"])["sleep:5"]
        assert seconds >= sum(task.seconds for task in workload("sleep:5")) / WORKERS


def test_an_efficiency_is_the_ideal_time_over_the_median() -> None:
    row = search._row("gtn", "sleep:100", [2.0, 1.25, 1.0])
    assert (row["task"], row["task_ms"], row["ranks"], row["efficiency"]) == ("sleep", 100.0, 3, 0.8)
    assert search._row("gtn", "skewed", [1.95])["efficiency"] == 1.0


def test_ten_of_two_hundred_skewed_tasks_are_twenty_times_longer() -> None:
    tasks = workload("skewed")
    assert (len(tasks), tasks.count(Task(0.2)), tasks.count(Task(0.01))) == (200, 10, 190)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("speep:100", "Did you mean 'sleep'"),
        ("skewed:3", "no task 'skewed:3'"),
        ("sleep", "milliseconds: sleep:100"),
        ("cpu:fast", "milliseconds: cpu:100"),
        ("cpu:0", "milliseconds"),
        ("sleep:nan", "milliseconds"),
    ],
)
def test_a_task_that_is_not_there_is_refused_before_anything_is_measured(task: str, words: str) -> None:
    said: list[str] = []
    with pytest.raises(UsageError, match=words):
        search.run(["sleep:10", task], say=said.append)
    assert not said


def test_stores_are_measured_with_the_rows_they_hold(tmp_path: Path) -> None:
    report = store.run(500, rival_rows=5, say=lambda _: None)
    first, single, journal, sqlite = json.loads(json.dumps(report))["rows"]
    assert first["rows"] == first["fold_rows"] == single["rows"] == 500
    assert (journal["system"], sqlite["system"]) == ("optuna journal", "optuna sqlite")
    assert all(row["rows_per_s"] > 0 for row in report["rows"])
