"""Digest and comparison of tables."""

import hashlib
import heapq
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import files, folding, opened
from gtn_hpc.scores.tables import Columns, Tables

Source = RunDirectory | Path | str
"""A run (its journals are read) or a scores file; a path to a directory is a run."""

Record = tuple[Any, ...]
DIGESTED = ("key", "fidelity", "replica", "val_accuracy", "val_loss", "status")
BLOCK = 1 << 16


def located(source: Source) -> RunDirectory | Path:
    """A run, or the path of a file."""
    if isinstance(source, RunDirectory):
        return source
    return RunDirectory(Path(source)) if Path(source).is_dir() else Path(source)


def load(source: Source) -> Tables:
    place = located(source)
    if not isinstance(place, RunDirectory):
        return files.load(place)
    if not place.journal.is_dir():
        raise StorageError(
            f"{place.path} has no journals.", remedy="Nothing is scored yet: gtn search CONFIG; or name another run."
        )
    return folding.gather(place)[0].tables


def _records(scores: Columns) -> Iterator[Record]:
    """What is compared of each score, in order of key."""
    order = np.argsort(scores["key"], kind="stable")
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        yield from zip(*(scores[name][rows].tolist() for name in DIGESTED), strict=True)


def _scores(source: Source) -> Columns:
    place = located(source)
    return load(place)["scores"] if isinstance(place, RunDirectory) else files.load(place, ["scores"])["scores"]


def digest(source: Source) -> str:
    """SHA-256 of the sorted (key, fidelity, replica, val_accuracy, val_loss, status) of all scores.

    Two runs with equal digests scored the same with the same results, whatever the order, the processes and the time.
    """
    place = located(source)
    if isinstance(place, RunDirectory):
        return digest_of(_scores(place))
    with opened.open(place) as file:
        return digest_of_file(file)


def digest_of_file(file: opened.ScoreTables) -> str:
    """Read piece by piece, as far as its rows are in order."""
    if not _in_order(file):
        return digest_of(file.raw("scores", DIGESTED))
    return _digest(file.raw("scores", DIGESTED, part) for part in file.parts("scores"))


def digest_of(scores: Columns) -> str:
    """The digest of scores in memory, in any order."""
    return _digest([scores])


def _digest(pieces: Iterable[Columns]) -> str:
    """Of scores whose keys rise from piece to piece; within a piece they may stand in any order."""
    sha = hashlib.sha256()
    for record in itertools.chain.from_iterable(map(_records, pieces)):
        sha.update(repr(record).encode() + b"\n")
    return sha.hexdigest()


def _in_order(file: opened.ScoreTables) -> bool:
    """Whether no piece begins with a smaller key than one before it ends with."""
    last = b""
    for part in file.parts("scores"):
        keys = np.sort(file.raw("scores", ["key"], part)["key"]).tolist()
        if keys[0] < last:
            return False
        last = keys[-1]
    return True


@dataclass(frozen=True)
class Difference:
    """The first row in which two stores differ; `column` is 'key' where one of them does not have it."""

    key: str
    column: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.key}: {self.column} is {self.first} in the first and {self.second} in the second"


def verify(first: Source, second: Source) -> Difference | None:
    """Compares what the digest is made of; None where it is equal, NaN being equal to NaN."""
    ours, theirs = (_records(_scores(source)) for source in (first, second))
    for a, b in _aligned(ours, theirs):
        if a is None or b is None:
            return _lacking(a, b)
        for column, x, y in zip(DIGESTED, a, b, strict=True):
            if repr(x) != repr(y):
                return Difference(_text(a[0]), column, _text(x), _text(y))
    return None


def _aligned(ours: Iterator[Record], theirs: Iterator[Record]) -> Iterator[tuple[Record | None, Record | None]]:
    """Pairs of one key; None for the side that does not have it."""
    both = heapq.merge(_of_side(0, ours), _of_side(1, theirs))
    for _, group in itertools.groupby(both, key=itemgetter(0)):
        found = {side: record for _, side, record in group}
        yield found.get(0), found.get(1)


def _of_side(side: int, records: Iterator[Record]) -> Iterator[tuple[bytes, int, Record]]:
    return ((record[0], side, record) for record in records)


def _lacking(first: Record | None, second: Record | None) -> Difference:
    there = first or second or ()
    return Difference(_text(there[0]), "key", *("there" if record else "missing" for record in (first, second)))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else repr(value)
