"""`gtn bench meta-step`: time, memory and error of a meta-gradient, method beside method."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from gtn_hpc.bench.machine import CPU, FLOAT64, Machine
from gtn_hpc.bench.memory import MIB, NO_ROOM, added_peak, held, peak, why
from gtn_hpc.bench.methods import DEFAULT, ON_GPU, Method, make, require_known, why_not
from gtn_hpc.bench.workloads import WORKLOADS, Problem, Workload, draw_widths, make_problem
from gtn_hpc.core.environment import describe
from gtn_hpc.core.errors import UsageError, nearest
from gtn_hpc.inner.engine import Engine
from gtn_hpc.inner.optimisers import Tensors

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
    `memory` measures each method and T in a process of its own; on a GPU it is always known. `error`: the gradient's
    error at T=3 against float64, without and with this precision's rounding. On a GPU the default methods include
    CUDA graphs.

    Raises:
        UsageError: the workload, a method or the precision is unknown, or there is no such device.
    """
    if workload not in WORKLOADS:
        raise UsageError(f"No workload is called '{workload}'.", remedy=nearest(workload, WORKLOADS))
    for method in methods:
        require_known(method)
    machine.require()
    machine.use()
    methods = methods or (ON_GPU if machine.cuda else DEFAULT)
    able = [m for m in methods if why_not(m) is None]
    rows = [_skipped(m, t, str(why_not(m))) for m in methods if m not in able for t in steps]
    errors = {} if random_widths or not error else _errors(WORKLOADS[workload], able, machine)
    for t in steps:
        bench = _Bench(WORKLOADS[workload], t, able, repeats, machine, quantum if random_widths else None)
        for method, times in bench.times(say).items():
            found = errors.get(method, {"rel_error": None, "rounding_error": None})
            rows.append({"method": method.name, "mode": method.mode, "T": t, **times, **found})
    if memory or machine.cuda:
        _add_memory(rows, workload, able, machine, say)
    return {
        "bench": "meta-step",
        "workload": workload,
        "device": machine.name,
        "precision": machine.precision,
        "environment": describe(),
        "rows": rows,
    }


class Taken(NamedTuple):
    """Seconds, processor seconds and, on a GPU, MiB that one meta-gradient took."""

    seconds: float
    busy: float
    mib: float


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
        found: dict[Method, list[Taken]] = {method: [] for method in self.methods}
        added: dict[Method, float] = {}
        failed: dict[Method, Row] = {}
        for repeat in range(-1, self.repeats):
            problem = self._problem(repeat)
            for method in [m for m in self.methods if m not in failed]:
                try:
                    took = self._take(engines[method], problem)
                except NO_ROOM as error:
                    failed[method] = {"skipped": why(error)}
                    continue
                added[method] = max(added.get(method, 0.0), took.mib)
                if repeat >= 0 or self.quantum:
                    found[method].append(took)
            say(f"T={self.steps} repeat {repeat + 1}/{self.repeats}")
        rows = self._rows({m: taken for m, taken in found.items() if m not in failed})
        if self.machine.cuda:
            rows = {m: row | {"mib_added": round(added[m], 1)} for m, row in rows.items()}
        return {m: rows.get(m) or failed[m] for m in self.methods}

    def _rows(self, found: Mapping[Method, Sequence[Taken]]) -> dict[Method, Row]:
        """With drawn widths no two repeats are alike, and a trace is paid once: then the total counts."""
        middle = sum if self.quantum else median
        wall, busy = ({m: middle(one[i] for one in taken) for m, taken in found.items()} for i in (0, 1))
        return {m: self._row(m, wall, busy) for m in found}

    def _problem(self, repeat: int) -> Problem:
        if self.quantum is None:
            return make_problem(self.workload, self.steps, machine=self.machine)
        widths = draw_widths(self.workload, self.quantum, np.random.default_rng(repeat + 1))
        return make_problem(self.workload, self.steps, seed=repeat + 1, widths=widths, machine=self.machine)

    def _take(self, engine: Engine, problem: Problem) -> Taken:
        before = held(self.machine) if self.machine.cuda else 0
        self.machine.wait()
        start, busy = time.perf_counter(), time.process_time()
        engine(problem.task, problem.teacher)
        self.machine.wait()
        wall, busy = time.perf_counter() - start, time.process_time() - busy
        return Taken(wall, busy, (peak(self.machine) - before) / MIB if self.machine.cuda else 0.0)

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


def _errors(workload: Workload, methods: Sequence[Method], machine: Machine) -> dict[Method, Row]:
    """Of the teacher's gradient at T=3, relative to `unrolled` in float64: of its worst part by the method itself, and
    of the whole when it is computed on `machine`."""
    exact = replace(machine, precision=FLOAT64.precision)
    expected = _gradient(workload, Method("unrolled"), exact)
    found: dict[Method, Row] = {}
    for method in methods:
        if method.name != "plain":
            own, rounded = (_gradient(workload, method, at) for at in (exact, machine))
            parts = [_relative([own[k]], [g]) for k, g in expected.items() if float(g.norm()) > 0]
            whole = _relative([rounded[k] for k in expected], list(expected.values()))
            found[method] = {"rel_error": max(parts), "rounding_error": whole}
    machine.use()
    return found


def _gradient(workload: Workload, method: Method, machine: Machine) -> Tensors:
    machine.use()
    problem = make_problem(workload, 3, machine=machine)
    return make(method)(problem.task, problem.teacher).gradient


def _relative(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """|found - expected| / |expected| of all tensors together."""
    apart = sum(float((f.to(e.dtype) - e).square().sum()) for f, e in zip(found, expected, strict=True))
    return (apart / sum(float(e.square().sum()) for e in expected)) ** 0.5


def _add_memory(rows: list[Row], workload: str, methods: Sequence[Method], machine: Machine, say: Say) -> None:
    for method in methods:
        if machine.cuda:
            _enter(rows, method, _counted(rows, method))
            continue
        flat = method.name.startswith("trajectory")
        timed = {row["T"] for row in rows}
        cells = {}
        for t in sorted({*MEMORY_STEPS, *timed}):
            if t <= 32 or t in timed or flat:
                cells[t] = added_peak(workload, method, t, machine)
                say(f"memory {method} T={t}: {cells[t]}")
        _enter(rows, method, cells)


def _counted(rows: Sequence[Row], method: Method) -> dict[int, float | str]:
    """What the timed runs on a GPU added, by T."""
    own = [row for row in rows if (row["method"], row["mode"]) == (method.name, method.mode)]
    return {row["T"]: row["mib_added"] for row in own if "mib_added" in row}


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
