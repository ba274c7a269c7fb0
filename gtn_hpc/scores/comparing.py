"""Digest, comparison and merging of tables."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import files, folding, tables
from gtn_hpc.scores.tables import Tables

Source = RunDirectory | Path | str
"""A run (its journals are read) or a scores file; a path to a directory is a run."""

DIGESTED = ("key", "fidelity", "replica", "val_accuracy", "val_loss", "status")
BLOCK = 1 << 16


def load(source: Source) -> Tables:
    if isinstance(source, RunDirectory):
        if not source.journal.is_dir():
            raise StorageError(f"{source.path} has no journals.", remedy="Name a run that has scored something.")
        return folding.gather(source)[0].tables
    return load(RunDirectory(Path(source))) if Path(source).is_dir() else files.load(Path(source))


def _records(loaded: Tables) -> Iterator[tuple[bytes | int | float, ...]]:
    scores = loaded["scores"]
    for start in range(0, tables.length(scores), BLOCK):
        yield from zip(*(scores[name][start : start + BLOCK].tolist() for name in DIGESTED), strict=True)


def digest(source: Source) -> str:
    """SHA-256 of the sorted (key, fidelity, replica, val_accuracy, val_loss, status) of all scores.

    Two runs with equal digests scored the same with the same results, whatever the order, the processes and the time.
    """
    return digest_of(load(source))


def digest_of(loaded: Tables) -> str:
    sha = hashlib.sha256()
    for record in _records(tables.combine([loaded])):
        sha.update(repr(record).encode() + b"\n")
    return sha.hexdigest()


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
    left, right = (tables.combine([load(source)]) for source in (first, second))
    ours, theirs = _records(left), _records(right)
    while True:
        a, b = next(ours, None), next(theirs, None)
        if a is None and b is None:
            return None
        if a is None or (b is not None and b[0] < a[0]):  # type: ignore[operator]
            return Difference(_text(b[0]), "key", "missing", "there")  # type: ignore[index]
        if b is None or a[0] < b[0]:  # type: ignore[operator]
            return Difference(_text(a[0]), "key", "there", "missing")
        for column, x, y in zip(DIGESTED, a, b, strict=True):
            if repr(x) != repr(y):
                return Difference(_text(a[0]), column, _text(x), _text(y))


def _text(value: bytes | int | float) -> str:
    return value.decode() if isinstance(value, bytes) else repr(value)


def merge(out: Path, inputs: Sequence[Source]) -> folding.FoldReport:
    """Writes one file with the rows of all inputs, one an identity; order and repetition of inputs do not matter.

    A run's own `scores.h5` cannot be the output: it is folded from the run's journals and nothing else.
    """
    out = Path(out)
    if (out.parent / "journal").is_dir() and out.name == "scores.h5":
        raise StorageError(f"{out} belongs to a run.", remedy="Give the merged file another name.")
    if not inputs:
        raise StorageError("There is nothing to merge.", remedy="Name at least one run or scores file.")
    merged = tables.combine([load(source) for source in inputs])
    files.write(out, merged)
    return folding.report(folding.Folded(merged), 0, written=True)
