"""`gtn bench meta-step`: time, memory and error of a meta-gradient, method beside method."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np
import torch

from gtn_hpc.bench.memory import added_peak
from gtn_hpc.bench.methods import DEFAULT, Method, make, why_not
from gtn_hpc.bench.workloads import WORKLOADS, Problem, Workload, draw_widths, make_problem
from gtn_hpc.core.environment import describe
from gtn_hpc.core.errors import UsageError, nearest
from gtn_hpc.inner.engine import Engine
from gtn_hpc.inner.unrolled import Unrolled

Row = dict[str, Any]
Say = Callable[[str], None]

MEMORY_STEPS = (2, 8, 32, 128)
"""T of the memory cells beside those that are timed; the last for the trajectory engine alone."""


def run(
    workload: str = "w1",
    steps: Sequence[int] = (8, 32),
    methods: Sequence[Method] = DEFAULT,
    *,
    repeats: int = 5,
    random_widths: bool = False,
    quantum: int = 8,
    memory: bool = True,
    error: bool = True,
    say: Say = print,
) -> dict[str, Any]:
    """Times every method at every T, interleaved, in one thread; returns the report of design.md.

    `random_widths` draws another learner for each repeat, as meta-training does; traces are then part of the time.
    `memory` measures each method and T in a process of its own, `error` each method in float64.

    Raises:
        UsageError: the workload is unknown.
    """
    if workload not in WORKLOADS:
        raise UsageError(f"No workload is called '{workload}'.", remedy=nearest(workload, WORKLOADS))
    torch.set_num_threads(1)
    able = [m for m in methods if why_not(m) is None]
    rows = [_skipped(m, t, str(why_not(m))) for m in methods if m not in able for t in steps]
    errors = {} if random_widths or not error else _errors(WORKLOADS[workload], able)
    for t in steps:
        for method, times in _times(WORKLOADS[workload], t, able, repeats, random_widths, quantum, say).items():
            rows.append({"method": method.name, "mode": method.mode, "T": t, **times, "rel_error": errors.get(method)})
    if memory:
        _add_memory(rows, workload, able, say)
    return {"bench": "meta-step", "workload": workload, "environment": describe(), "rows": rows}


def _times(
    workload: Workload, steps: int, methods: Sequence[Method], repeats: int, random_widths: bool, quantum: int, say: Say
) -> dict[Method, Row]:
    engines = {method: make(method) for method in methods}
    wall: dict[Method, list[float]] = {method: [] for method in methods}
    cpu: dict[Method, list[float]] = {method: [] for method in methods}
    for repeat in range(-1, repeats):
        problem = _problem(workload, steps, repeat, random_widths, quantum)
        for method, engine in engines.items():
            seconds, busy = _time(engine, problem)
            if repeat >= 0 or random_widths:
                wall[method].append(seconds)
                cpu[method].append(busy)
        say(f"T={steps} repeat {repeat + 1}/{repeats}")
    # with drawn widths no two repeats are alike, and a trace is paid once: then the total counts
    middle = sum if random_widths else median
    return {
        m: _row(middle(wall[m]), middle(cpu[m]), _reference(wall, middle), _reference(cpu, middle)) for m in methods
    }


def _reference(times: dict[Method, list[float]], middle: Callable[[list[float]], float]) -> dict[str, float]:
    return {m.name: middle(values) for m, values in times.items() if m.name in ("plain", "higher")}


def _row(wall: float, cpu: float, walls: dict[str, float], cpus: dict[str, float]) -> Row:
    """Wall and processor time; on a machine with other work the latter is the steadier."""
    return {
        "seconds": round(wall, 4),
        "cpu_seconds": round(cpu, 4),
        "time_vs_plain": round(wall / walls["plain"], 3) if "plain" in walls else None,
        "speed_vs_higher": round(walls["higher"] / wall, 3) if "higher" in walls else None,
        "cpu_speed_vs_higher": round(cpus["higher"] / cpu, 3) if "higher" in cpus else None,
    }


def _problem(workload: Workload, steps: int, repeat: int, random_widths: bool, quantum: int) -> Problem:
    if not random_widths:
        return make_problem(workload, steps)
    widths = draw_widths(workload, quantum, np.random.default_rng(repeat + 1))
    return make_problem(workload, steps, seed=repeat + 1, widths=widths)


def _time(engine: Engine, problem: Problem) -> tuple[float, float]:
    start, busy = time.perf_counter(), time.process_time()
    engine(problem.task, problem.teacher)
    return time.perf_counter() - start, time.process_time() - busy


def _errors(workload: Workload, methods: Sequence[Method]) -> dict[Method, float]:
    """Of the teacher's gradient, in float64 at T=3, relative to `unrolled`."""
    problem = make_problem(workload, 3, dtype=torch.float64)
    expected = Unrolled()(problem.task, problem.teacher).gradient
    found = {}
    for method in methods:
        if method.name != "plain":
            gradient = make(method)(problem.task, problem.teacher).gradient
            found[method] = max(
                float((gradient[k] - g).norm() / g.norm()) for k, g in expected.items() if float(g.norm()) > 0
            )
    return found


def _add_memory(rows: list[Row], workload: str, methods: Sequence[Method], say: Say) -> None:
    for method in methods:
        flat = method.name.startswith("trajectory")
        timed = {row["T"] for row in rows}
        cells = {}
        for t in sorted({*MEMORY_STEPS, *timed}):
            if t <= 32 or t in timed or flat:
                cells[t] = added_peak(workload, method, t)
                say(f"memory {method} T={t}: {cells[t]}")
        _enter(rows, method, cells)


def _enter(rows: list[Row], method: Method, cells: dict[int, float | str]) -> None:
    known = {t: v for t, v in cells.items() if isinstance(v, float)}
    far = [t for t in known if t >= min(32, max(known))] if known else []
    slope = None
    if len(known) > 1:
        last, before = max(known), sorted(known)[-2] if len(far) < 2 else min(far)
        slope = round((known[last] - known[before]) / (last - before), 3)
    for t, value in cells.items():
        row = next((r for r in rows if (r["method"], r["mode"], r["T"]) == (method.name, method.mode, t)), None)
        if row is None:
            row = {"method": method.name, "mode": method.mode, "T": t}
            rows.append(row)
        row |= {"mib_added": round(value, 1), "mib_per_step": slope} if isinstance(value, float) else {"skipped": value}


def _skipped(method: Method, steps: int, reason: str) -> Row:
    return {"method": method.name, "mode": method.mode, "T": steps, "skipped": reason}
