"""`gtn plan --simulate`: time and waste of a search on machines that are not there."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from gtn_hpc.cli import console
from gtn_hpc.cli.outputs import require_writable
from gtn_hpc.config import Config
from gtn_hpc.config.site import Site
from gtn_hpc.core.errors import UsageError
from gtn_hpc.launch.planning import whole_certificate
from gtn_hpc.launch.recorded import Recorded, of_run, recorded
from gtn_hpc.launch.simulating import POOLS, Conditions, Pool, Replay, replay


@dataclass(frozen=True)
class Asked:
    """What the options say: times in the units of the options (minutes, hours, seconds)."""

    durations: str | None
    nodes: str
    walltime: float | None
    mtbf: float | None
    queue: float
    startup: float
    dispatch: float
    figure: Path | None


@dataclass(frozen=True)
class Row:
    """One machine, pool and policy: `order` (asked, longest), `warning` (seconds, none; either: no difference)."""

    nodes: int
    ranks: int
    order: str
    warning: str
    found: Replay

    def plain(self) -> dict[str, Any]:
        ratios = {"efficiency": self.found.efficiency, "idle": self.found.idle}
        policy = {"nodes": self.nodes, "ranks": self.ranks, "order": self.order, "warning": self.warning}
        return policy | asdict(self.found) | ratios


def simulate(config: Config, site: Site, asked: Asked, as_json: bool) -> None:
    """Prints a row for each number of nodes, pool and policy; draws them where a figure is asked for.

    Raises:
        UsageError: nothing is recorded or given, or a job has no room for an evaluation.
        StorageError: the figure cannot be written.
    """
    if asked.figure is not None:
        require_writable(asked.figure)
    run = config.run.directory
    known = recorded(asked.durations, Path(config.run.root)) if asked.durations else of_run(run)
    evaluations = config.search.budget * config.search.replicas
    durations = known.drawn(evaluations, config.run.seed)
    rows = [row for nodes in _nodes(asked.nodes) for row in _rows(durations, nodes, config, site, asked)]
    if asked.figure is not None:
        _draw(rows, asked.figure)
    certificate = whole_certificate(config)
    if as_json:
        told = {"evaluations": evaluations, "source": known.source, "between": known.between}
        console.emit(told | {"without_certificate": certificate, "rows": [row.plain() for row in rows]})
        return
    _tell(rows, known, evaluations)
    if trainings := sum(certificate.values()):
        console.say(f"All of it without the {trainings} trainings for the certificate, which come besides.")


def _nodes(text: str) -> list[int]:
    try:
        found = [int(word) for word in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise UsageError(f"--nodes '{text}' is no list of numbers.", remedy="Give some: --nodes 1,8,64.")
    return found


def _rows(durations: Sequence[float], nodes: int, config: Config, site: Site, asked: Asked) -> Iterator[Row]:
    for pool, order in product(POOLS, ("asked", "longest")):
        warned = replace(_conditions(pool, nodes, config, site, asked), longest_first=order == "longest")
        if pool == "mpi" and warned.ranks < 2:
            continue
        with_it, without = replay(durations, pool, warned), replay(durations, pool, replace(warned, lead=0.0))
        if with_it == without:
            yield Row(nodes, warned.ranks, order, "either", with_it)
            continue
        yield Row(nodes, warned.ranks, order, f"{warned.lead:.0f} s", with_it)
        yield Row(nodes, warned.ranks, order, "none", without)


def _conditions(pool: Pool, nodes: int, config: Config, site: Site, asked: Asked) -> Conditions:
    wanted = site.search if pool == "mpi" else site.search_array
    return Conditions(
        nodes=nodes,
        ranks_per_node=site.search.tasks_per_node,
        walltime=60 * (asked.walltime or wanted.minutes),
        lead=site.lead,
        mtbf=3600 * asked.mtbf if asked.mtbf else math.inf,
        queue=60 * asked.queue,
        startup=asked.startup,
        dispatch=asked.dispatch,
        expiry=config.search.expiry,
        seed=config.run.seed,
    )


def _tell(rows: Sequence[Row], known: Recorded, evaluations: int) -> None:
    console.say(f"{evaluations} evaluations as {known.source}; percent of the ranks' time")
    columns = (
        "nodes",
        "ranks",
        "pool",
        "order",
        "warning",
        "time",
        "of use",
        "idle",
        "starting",
        "lost",
        "starts",
        "cut off",
    )
    console.table("", columns, (_cells(row) for row in rows))
    if any(row.found.cut for row in rows):
        console.say("Cut off: starts that ended with evaluations running, which are done again.")


def _cells(row: Row) -> tuple[Any, ...]:
    found = row.found
    shares = (f"{100 * part / found.allocated:.1f}" for part in (found.useful, found.idle, found.starting, found.lost))
    time = console.duration(found.seconds)
    return (row.nodes, row.ranks, found.pool, row.order, row.warning, time, *shares, found.starts, found.cut)


def _draw(rows: Sequence[Row], stem: Path) -> None:
    import pandas as pd

    from gtn_hpc.report import figures

    for path in figures.save(figures.scaling(pd.DataFrame([row.plain() for row in rows])), stem):
        console.note(f"Figure: {path}")
