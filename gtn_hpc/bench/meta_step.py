"""`gtn bench meta-step`: time, memory and error of a meta-gradient, method beside method."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from gtn_hpc.bench.machine import CPU, FLOAT64, Machine
from gtn_hpc.bench.memory import added_peak
from gtn_hpc.bench.methods import DEFAULT, ON_GPU, Method, make, why_not
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
    methods: Sequence[Method] = (),
    *,
    machine: Machine = CPU,
    repeats: int = 5,
    random_widths: bool = False,
    quantum: int = 8,
    memory: bool = True,
    error: bool = True,
    say: Say = print,
) -> dict[str, Any]:
    """Times every method at every T, interleaved, in one thread; returns the report of design.md.

    `random_widths` draws another learner for each repeat, as meta-training does; traces are then part of the time.
    `memory` measures each method and T in a process of its own, `error` each method in float64 on a CPU. On a GPU the
    default methods include CUDA graphs.

    Raises:
        UsageError: the workload or the precision is unknown, or there is no such device.
    """
    if workload not in WORKLOADS:
        raise UsageError(f"No workload is called '{workload}'.", remedy=nearest(workload, WORKLOADS))
    machine.require()
    machine.use()
    methods = methods or (ON_GPU if machine.cuda else DEFAULT)
    able = [m for m in methods if why_not(m) is None]
    rows = [_skipped(m, t, str(why_not(m))) for m in methods if m not in able for t in steps]
    errors = {} if random_widths or not error else _errors(WORKLOADS[workload], able)
    for t in steps:
        bench = _Bench(WORKLOADS[workload], t, able, repeats, machine, quantum if random_widths else None)
        for method, times in bench.times(say).items():
            rows.append({"method": method.name, "mode": method.mode, "T": t, **times, "rel_error": errors.get(method)})
    if memory:
        _add_memory(rows, workload, able, machine, say)
    return {
        "bench": "meta-step",
        "workload": workload,
        "device": machine.name,
        "precision": machine.precision,
        "environment": describe(),
        "rows": rows,
    }


@dataclass(frozen=True)
class _Bench:
    """Methods side by side at one T; with `quantum` each repeat has a learner of other widths."""

    workload: Workload
    steps: int
    methods: Sequence[Method]
    repeats: int
    machine: Machine
    quantum: int | None

    def times(self, say: Say) -> dict[Method, Row]:
        engines = {method: make(method) for method in self.methods}
        found: dict[Method, list[tuple[float, float]]] = {method: [] for method in self.methods}
        for repeat in range(-1, self.repeats):
            problem = self._problem(repeat)
            for method, engine in engines.items():
                took = self._time(engine, problem)
                if repeat >= 0 or self.quantum:
                    found[method].append(took)
            say(f"T={self.steps} repeat {repeat + 1}/{self.repeats}")
        # with drawn widths no two repeats are alike, and a trace is paid once: then the total counts
        middle = sum if self.quantum else median
        wall, busy = ({m: middle(pair[i] for pair in pairs) for m, pairs in found.items()} for i in (0, 1))
        return {m: self._row(m, wall, busy) for m in self.methods}

    def _problem(self, repeat: int) -> Problem:
        if self.quantum is None:
            return make_problem(self.workload, self.steps, machine=self.machine)
        widths = draw_widths(self.workload, self.quantum, np.random.default_rng(repeat + 1))
        return make_problem(self.workload, self.steps, seed=repeat + 1, widths=widths, machine=self.machine)

    def _time(self, engine: Engine, problem: Problem) -> tuple[float, float]:
        self.machine.wait()
        start, busy = time.perf_counter(), time.process_time()
        engine(problem.task, problem.teacher)
        self.machine.wait()
        return time.perf_counter() - start, time.process_time() - busy

    def _row(self, method: Method, wall: Mapping[Method, float], busy: Mapping[Method, float]) -> Row:
        """Wall and processor time; on a machine with other work the latter is the steadier."""
        plain, higher = Method("plain"), Method("higher")
        images = self.steps * self.workload.batch * (self.repeats + 1 if self.quantum else 1)
        return {
            "seconds": round(wall[method], 4),
            "cpu_seconds": round(busy[method], 4),
            "images_per_s": round(images / wall[method]),
            "time_vs_plain": round(wall[method] / wall[plain], 3) if plain in wall else None,
            "speed_vs_higher": round(wall[higher] / wall[method], 3) if higher in wall else None,
            "cpu_speed_vs_higher": round(busy[higher] / busy[method], 3) if higher in busy else None,
        }


def _errors(workload: Workload, methods: Sequence[Method]) -> dict[Method, float]:
    """Of the teacher's gradient, in float64 at T=3, relative to `unrolled`."""
    problem = make_problem(workload, 3, machine=FLOAT64)
    expected = Unrolled()(problem.task, problem.teacher).gradient
    found = {}
    for method in methods:
        if method.name != "plain":
            gradient = make(method)(problem.task, problem.teacher).gradient
            found[method] = max(
                float((gradient[k] - g).norm() / g.norm()) for k, g in expected.items() if float(g.norm()) > 0
            )
    return found


def _add_memory(rows: list[Row], workload: str, methods: Sequence[Method], machine: Machine, say: Say) -> None:
    for method in methods:
        flat = method.name.startswith("trajectory")
        timed = {row["T"] for row in rows}
        cells = {}
        for t in sorted({*MEMORY_STEPS, *timed}):
            if t <= 32 or t in timed or flat:
                cells[t] = added_peak(workload, method, t, machine)
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
