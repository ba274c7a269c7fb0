"""Searches whose evaluator is a table of NAS-Bench-201 (Dong and Yang 2020): milliseconds an architecture."""

import csv
import gzip
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gtn_hpc.config import parse
from gtn_hpc.core.records import ImageShape, Score
from gtn_hpc.farm import InProcess
from gtn_hpc.search.algorithm import Outcome
from gtn_hpc.search.algorithms import make_algorithm
from gtn_hpc.search.loop import search
from gtn_hpc.search.study import Asked, Study, Terms
from gtn_hpc.spaces import Space, make_space
from gtn_hpc.spaces.nasbench201 import canonical_cells, write_cell
from gtn_hpc.training.request import Identity, Request

IDENTITY = Identity("table", "table", "table")


@dataclass(frozen=True)
class Table:
    """Accuracies (0 to 1) by the string of a canonical cell, of those cells that the table holds."""

    validation: Mapping[str, float]
    test: Mapping[str, float]

    @classmethod
    def read(cls, path: Path, images: str = "cifar10") -> "Table":
        """`path`: CSV, gzipped by its name, with columns cellstr, IMAGES-val and IMAGES-test in percent."""
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", newline="") as lines:
            rows = {row["cellstr"]: row for row in csv.DictReader(lines)}
        cells = [cell for cell in map(write_cell, dict.fromkeys(canonical_cells().values())) if cell in rows]
        return cls(
            *({cell: float(rows[cell][f"{images}-{split}"]) / 100 for cell in cells} for split in ("val", "test"))
        )

    @property
    def best_validation(self) -> float:
        """The highest of any canonical cell."""
        return max(self.validation.values())

    @property
    def best_test(self) -> float:
        """The highest of any canonical cell."""
        return max(self.test.values())


@dataclass(frozen=True)
class Lookup:
    """Work whose score of an architecture is the table's validation accuracy."""

    table: Table

    @contextmanager
    def open(self, rank: int) -> Iterator[Callable[[Request], Score]]:
        yield lambda request: score_of(request, self.table.validation[request.arch.spec["cell"]])


def score_of(request: Request, accuracy: float) -> Score:
    key, arch = IDENTITY.key(request), request.arch
    loss = -math.log(max(accuracy, 1e-9))
    return Score(key, arch.digest, request.fidelity, 0, accuracy, loss, "ok", 0.0, 0, 1, 1, request.parent, request.ask)


@dataclass
class Incumbent:
    """A ledger that remembers how the best by validation changed: evaluations, its validation and test accuracy."""

    table: Table
    told_so_far: int = 0
    changes: list[tuple[int, float, float]] = field(default_factory=list)

    def asked(self, asked: Asked) -> None:
        """Nothing that a search in memory has to keep."""

    def told(self, *outcomes: Outcome) -> None:
        for outcome in outcomes:
            self.told_so_far += 1
            if not self.changes or outcome.value > self.changes[-1][1]:
                test = self.table.test[outcome.proposal.arch.spec["cell"]]
                self.changes.append((self.told_so_far, outcome.value, test))


def space() -> Space:
    return make_space(
        parse("{run: {name: table}, search: {space: {name: nasbench201}}}").search.space, ImageShape(3, 32, 32), 10
    )


def search_table(table: Table, algorithm: str, seed: int, budget: int) -> list[tuple[int, float, float]]:
    """The incumbents of one search; `algorithm` is a section of the configuration in YAML."""
    config = parse(f"{{run: {{name: table, seed: {seed}}}, search: {{algorithm: {algorithm}, budget: {budget}}}}}")
    ledger = Incumbent(table)
    study = Study(make_algorithm(config, space(), 1), IDENTITY, ledger, Terms(budget, 1))
    with InProcess(Lookup(table)) as pool:
        search(study, pool)
    return ledger.changes
