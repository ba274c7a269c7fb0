"""gtn bench meta-step: its rivals compute the same gradient, its rows carry the promised keys."""

import importlib.util
import json

import pytest
import torch

from gtn_hpc.bench import memory, meta_step
from gtn_hpc.bench.machine import FLOAT64, Machine
from gtn_hpc.bench.methods import Method, make, parse
from gtn_hpc.bench.workloads import WORKLOADS, draw_widths, make_problem
from gtn_hpc.core.errors import UsageError
from gtn_hpc.inner.higher_engine import Higher

KEYS = {"method", "mode", "T", "time_vs_plain", "speed_vs_higher", "rel_error"}


@pytest.mark.parametrize("name", ["torchopt", "checkpoint", "unrolled", "trajectory/kit"])
def test_rivals_give_the_gradient_of_higher(name: str) -> None:
    if importlib.util.find_spec(name.partition("/")[0]) is None and name == "torchopt":
        pytest.skip("torchopt is not installed")
    problem = make_problem(WORKLOADS["overhead"], 3, machine=FLOAT64)
    expected = Higher()(problem.task, problem.teacher)
    found = make(Method(name))(problem.task, problem.teacher)
    assert found.loss == pytest.approx(expected.loss, rel=1e-12)
    for key, gradient in expected.gradient.items():
        torch.testing.assert_close(found.gradient[key], gradient, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["torchopt", "checkpoint", "unrolled", "trajectory/traced"])
def test_rivals_round_to_bf16_as_higher_does(name: str) -> None:
    if name == "torchopt":
        pytest.importorskip("torchopt")
    exact, rounded = (make_problem(WORKLOADS["overhead"], 1, machine=Machine(precision=p)) for p in ("float32", "bf16"))
    found, expected = (make(Method(n))(rounded.task, rounded.teacher).loss for n in (name, "higher"))
    assert found == pytest.approx(expected, rel=1e-4)
    assert abs(make(Method(name))(exact.task, exact.teacher).loss / found - 1) > 3e-4


def test_rows_have_the_promised_keys_and_the_report_is_json() -> None:
    said: list[str] = []
    methods = [Method("plain"), Method("higher"), Method("trajectory/kit", "keep_generator")]
    report = meta_step.run("overhead", (1, 2), methods, repeats=1, memory=False, say=said.append)
    assert json.loads(json.dumps(report)) == report
    assert {"bench", "workload", "environment", "rows"} <= set(report)
    assert all(set(row) >= KEYS for row in report["rows"])
    assert [(row["method"], row["T"]) for row in report["rows"]] == [(m.name, t) for t in (1, 2) for m in methods]
    assert all(row["speed_vs_higher"] == 1.0 for row in report["rows"] if row["method"] == "higher")
    assert max(row["rel_error"] or 0.0 for row in report["rows"]) < 1e-9
    assert all(1e-9 < row["rounding_error"] < 1e-5 for row in report["rows"] if row["method"] != "plain")
    assert said


def test_a_method_without_room_is_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore.")

    monkeypatch.setattr(Higher, "__call__", full)
    methods = [Method("plain"), Method("higher")]
    report = meta_step.run("overhead", (1,), methods, repeats=1, memory=False, error=False)
    assert report["rows"][0]["seconds"] > 0
    assert report["rows"][1]["skipped"] == "out of memory: CUDA out of memory. Tried to allocate 2 GiB."


def test_drawn_widths_are_multiples_of_the_quantum_and_others_each_time() -> None:
    import numpy as np

    drawn = {draw_widths(WORKLOADS["w1"], 8, np.random.default_rng(seed)) for seed in range(20)}
    assert len(drawn) > 5
    assert all(width % 8 == 0 for widths in drawn for width in widths)
    report = meta_step.run(
        "overhead", (1,), [Method("higher"), Method("trajectory/auto")], repeats=1, random_widths=True, memory=False
    )
    assert [row["method"] for row in report["rows"]] == ["higher", "trajectory/auto"]


def test_memory_is_measured_in_a_process_of_its_own() -> None:
    added = memory.added_peak("overhead", parse("trajectory/reverse"), 2)
    assert isinstance(added, float)
    assert 0 <= added < 500
    assert "exit code 1" in str(memory.added_peak("overhead", parse("trajectory/none"), 2))


def test_a_method_that_is_not_there_is_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    report = meta_step.run("overhead", (1,), [Method("torchopt")], repeats=1, memory=False)
    assert report["rows"] == [{"method": "torchopt", "mode": "flat", "T": 1, "skipped": "torchopt is not installed"}]


def test_an_unknown_workload_is_an_error_with_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="Did you mean 'mnist'"):
        meta_step.run("mnits")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("trajectory/kit:keepgenerator", "no mode 'keepgenerator'.\n.*Did you mean 'keep_generator'"),
        ("trajectory/kit:flat+graph", "Did you mean 'flat\\+graphs'"),
        ("higher:keep_generator", "higher has no mode"),
        ("trajectory/kid", "Did you mean 'trajectory/kit'"),
    ],
)
def test_a_misspelt_method_or_mode_is_refused_before_anything_is_measured(text: str, words: str) -> None:
    said: list[str] = []
    with pytest.raises(UsageError, match=words):
        meta_step.run("overhead", (1,), [Method("plain"), parse(text)], say=said.append)
    assert not said


def test_a_device_or_precision_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="no precision 'float16'"):
        meta_step.run(machine=Machine("cpu", "float16"))
    with pytest.raises(UsageError, match="no device 'tpu' here"):
        meta_step.run(machine=Machine("tpu"))


def test_what_a_gpu_counted_becomes_a_growth_per_step() -> None:
    name = {"method": "higher", "mode": "flat"}
    rows = [
        name | {"T": 32, "mib_added": 320.0},
        name | {"T": 128, "mib_added": 1280.0},
        name | {"T": 8, "skipped": "x"},
    ]
    meta_step._enter(rows, Method("higher"), meta_step._counted(rows, Method("higher")))
    assert [row.get("mib_per_step") for row in rows] == [10.0, 10.0, None]
