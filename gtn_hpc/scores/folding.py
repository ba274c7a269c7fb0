"""The fold: journals -> `scores.h5`, by whoever holds the lock, from where the last fold ended."""

import fcntl
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gtn_hpc import storage
from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.lock import open_lock, unlockable
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import files, tables
from gtn_hpc.scores.columnar import from_bodies
from gtn_hpc.scores.keeping import keep_where_lost
from gtn_hpc.scores.lines import Damage, Position
from gtn_hpc.scores.replay import JournalReader
from gtn_hpc.scores.schema import SCHEMA, VERSION
from gtn_hpc.scores.tables import Columns, Tables


@dataclass(frozen=True)
class Conflict:
    """Values that differ from the kept ones of the same row; `step` is -1 outside curves, `values` is JSON."""

    table: str
    key: str
    step: int
    values: str

    def __str__(self) -> str:
        return f"{self.table}, {self.key}: another evaluation gave {self.values}"


@dataclass(frozen=True)
class FoldReport:
    """What a fold found: rows by table, journal rows read this time, damage, conflicts, whether it wrote, and what a
    person should be told (`notes`)."""

    rows: Mapping[str, int] = field(default_factory=dict)
    read: int = 0
    damage: tuple[Damage, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    written: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Folded:
    """Tables, how far each journal has been read for them, and the damage in what was read."""

    tables: Tables
    positions: dict[str, Position] = field(default_factory=dict)
    damage: list[Damage] = field(default_factory=list)


def fold(run: RunDirectory, *, full: bool = False, wait: bool = True) -> FoldReport:
    """Brings `scores.h5` up to the journals.

    Reads only what was appended since the last fold, or everything with `full` and where the file is missing,
    damaged, older or of other journals. A file with results that the journals do not give is then kept beside the new
    one, and a note says so. Where another process folds: waits, or returns at once without `wait`.
    """
    with locked(run, wait=wait) as held:
        if not held:
            return FoldReport()
        before = None if full else _last(run)
        after, read = _advance(run, before or Folded(tables.empty()))
        written = before is None or before.positions != after.positions
        notes = keep_where_lost(run.scores, after.tables) if before is None else []
        if written:
            write(run, after)
        return replace(report(after, read, written=written), notes=tuple(notes))


def fold_and_tell(run: RunDirectory, tell: Callable[[str], None], *, wait: bool = True) -> FoldReport:
    """As `fold`; `tell` is called with each note."""
    found = fold(run, wait=wait)
    for note in found.notes:
        tell(note)
    return found


def gather(run: RunDirectory) -> tuple[Folded, int]:
    """All journals folded in memory, and how many rows they hold; writes nothing."""
    return _advance(run, Folded(tables.empty()))


def report(folded: Folded, read: int, *, written: bool) -> FoldReport:
    """What a person is told of a fold that has `read` so many journal rows."""
    found = folded.tables["conflicts"]
    rows = zip(*(found[name].tolist() for name in ("table", "key", "step", "values")), strict=True)
    conflicts = tuple(Conflict(table.decode(), key.decode(), step, text.decode()) for table, key, step, text in rows)
    counts = {name: tables.length(columns) for name, columns in folded.tables.items()}
    return FoldReport(counts, read, tuple(folded.damage), conflicts, written)


def _advance(run: RunDirectory, before: Folded) -> tuple[Folded, int]:
    reader = JournalReader(run.journal, before.positions)
    parts, damage, read = [before.tables], list(before.damage), 0
    for piece in reader.pieces():
        parts += from_bodies(piece.file, piece.bodies)
        damage.extend(piece.damage)
        read += len(piece.bodies)
    combined = tables.use_up(parts) if len(parts) > 1 else before.tables
    return Folded(combined, reader.positions, damage), read


def write(run: RunDirectory, folded: Folded) -> None:
    """Puts `scores.h5` in place, with the run's configuration and environment and how far each journal was read."""
    config = run.config.read_text() if run.config.is_file() else ""
    environment = json.loads(run.environment.read_text()) if run.environment.is_file() else None
    sources = {"journals": _journals(folded.positions), "damage": _damage(folded.damage)}
    files.write(run.scores, folded.tables, config=config, environment=environment, sources=sources)


def _journals(positions: Mapping[str, Position]) -> Columns:
    return {
        "file": _text(list(positions)),
        "bytes": np.array([position.offset for position in positions.values()], dtype=np.int64),
        "lines": np.array([position.lines for position in positions.values()], dtype=np.int64),
    }


DAMAGE = ("file", "line", "offset", "length", "kind")


def _damage(damage: list[Damage]) -> Columns:
    """Torn ends are left out: they lie behind the position and are found again."""
    lasting = [item for item in damage if item.kind != "torn"]
    return {
        name: _text([getattr(item, name) for item in lasting])
        if name in ("file", "kind")
        else np.array([getattr(item, name) for item in lasting], dtype=np.int64)
        for name in DAMAGE
    }


def _text(values: list[str]) -> np.ndarray[Any, Any]:
    return np.array([value.encode() for value in values] or [b""], dtype="S")[: len(values)]


def _last(run: RunDirectory) -> Folded | None:
    """The last fold, or None where it cannot be built on; the journals are the truth."""
    try:
        with storage.open_file(run.scores, SCHEMA) as file:
            if file.schema.version != VERSION:
                return None
            journals, damage = file.read("journals"), file.read("damage")
    except StorageError:
        return None
    rows = zip(*(journals[name].tolist() for name in ("file", "bytes", "lines")), strict=True)
    positions = {name: Position(offset, lines) for name, offset, lines in rows}
    if any(not _reaches(run.journal / name, position) for name, position in positions.items()):
        return None
    found = zip(*(damage[name].tolist() for name in DAMAGE), strict=True)
    return Folded(files.load(run.scores), positions, [Damage(*values) for values in found])


def _reaches(path: Path, position: Position) -> bool:
    return path.is_file() and path.stat().st_size >= position.offset


@contextmanager
def locked(run: RunDirectory, *, wait: bool = True) -> Iterator[bool]:
    """Holds the fold lock of a run while the block runs; yields whether it was got.

    Raises:
        RunError: it cannot be opened, or the file system has no locks.
    """
    run.journal.mkdir(parents=True, exist_ok=True)
    with open_lock(run.fold_lock) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            raise unlockable(run.fold_lock, error) from error
        yield True


class Throttle:
    """Lets work through that takes at most `share` of the time since it was made, judged by how long it took last."""

    def __init__(self, share: float = 0.02, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._clock = share, clock
        self._start, self._spent, self._last = clock(), 0.0, 0.0

    def due(self) -> bool:
        return self._spent + self._last <= self._share * (self._clock() - self._start)

    def __call__(self, work: Callable[[], Any]) -> bool:
        """Does the work where it is due; says whether it did."""
        if not self.due():
            return False
        begun = self._clock()
        work()
        self._last = self._clock() - begun
        self._spent += self._last
        return True
