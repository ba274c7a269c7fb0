"""`gtn bench scaling`: a meta-iteration of two replicas on two ranks and on one, beside two independent processes."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from gtn_hpc.bench.ranks import Measured, Pair
from gtn_hpc.bench.workloads import WORKLOADS
from gtn_hpc.core.environment import describe
from gtn_hpc.core.errors import UsageError, nearest

Row = dict[str, Any]

DEFAULT = ("digits", "w1")
STEPS = 8
GPUS = (8, 64, 512)

BANDWIDTH = 25e9
"""Bytes a second of each GPU to others: one port of 200 Gbit/s."""

SUMS = 2
"""All-reduces of a meta-iteration, for a gradient of a few MiB; flags travel in them."""

LATENCY = 20e-6
"""Seconds of one hop of an exchange."""

FASTER = 50
"""How much faster a GPU may do a step than one core did here."""


def run(workloads: Sequence[str] = DEFAULT, *, repeats: int = 15, seconds: float = 0.5) -> dict[str, Any]:
    """Medians of `repeats` interleaved measurements of about `seconds` each; returns the report of design.md.

    `efficiency` of two ranks is relative to two independent processes at the same time, which is what the machine
    allows; `comm_fraction` is the share of a meta-iteration that its exchanges take when nobody is late.

    Raises:
        UsageError: a workload is unknown.
    """
    for name in workloads:
        if name not in WORKLOADS:
            raise UsageError(f"No workload is called '{name}'.", remedy=nearest(name, WORKLOADS))
    rows = [row for name in workloads for row in _rows(name, repeats, seconds)]
    title = " + ".join(workloads)
    return {"bench": "scaling", "workload": title, "environment": describe(), "rows": rows, "assumptions": _assumed()}


def _rows(workload: str, repeats: int, seconds: float) -> list[Row]:
    with Pair(workload, STEPS) as pair:
        count = max(1, round(seconds / pair.one_replica(1)))
        found = [pair.measure(count) for _ in range(repeats)]
        gradient = pair.gradient_bytes
    middle = Measured(**{name: median(getattr(one, name) for one in found) for name in asdict(found[0])})
    ratios = [one.independent / one.two_ranks for one in found]
    two = {
        "workload": workload,
        "ranks": 2,
        "efficiency": round(median(ratios), 4),
        "efficiency_quartiles": [round(value, 4) for value in _quartiles(ratios)],
        "speedup": round(middle.one_rank / middle.two_ranks, 3),
        "speedup_independent": round(middle.one_rank / middle.independent, 3),
        "comm_fraction": round(middle.exchanges / middle.two_ranks, 4),
        "seconds": {name: round(value, 6) for name, value in asdict(middle).items()},
        "gradient_bytes": gradient,
    }
    one = {"workload": workload, "ranks": 1, "efficiency": 1.0, "comm_fraction": 0.0}
    return [one, two, *(_projected(workload, ranks, middle, gradient) for ranks in GPUS)]


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]


def _projected(workload: str, ranks: int, measured: Measured, gradient: int) -> Row:
    """One replica a GPU: the step as measured here, and `FASTER` times faster."""
    exchange = 2 * (ranks - 1) / ranks * gradient / BANDWIDTH + SUMS * 2 * math.ceil(math.log2(ranks)) * LATENCY
    step = measured.one_rank / 2
    return {
        "workload": workload,
        "ranks": ranks,
        "projected": True,
        "efficiency": round(step / (step + exchange), 4),
        "efficiency_fast_gpu": round(step / (step + FASTER * exchange), 4),
        "comm_fraction": round(exchange / (step + exchange), 6),
        "exchange_seconds": exchange,
    }


def _assumed() -> list[str]:
    return [
        f"one replica a GPU, T={STEPS}; it takes what one core took here, or a {FASTER}th (efficiency_fast_gpu)",
        f"{SUMS} sums a meta-iteration (what is final early, and the rest), each 2 log2(W) hops of {LATENCY:g} s",
        f"2 (W-1)/W gradients over a link of {BANDWIDTH / 1e9:g} GB/s a GPU; nothing overlaps with computing",
        "replicas take equal time: with random widths all wait for the largest learner of a meta-iteration",
    ]
