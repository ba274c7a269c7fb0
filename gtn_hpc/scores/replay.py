"""Reading journals, from their beginning or from where the last reading ended; damage is reported, never fatal."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from gtn_hpc.core.errors import StorageError
from gtn_hpc.core.records import Score
from gtn_hpc.scores.journal import is_held
from gtn_hpc.scores.lines import Damage, Position, parse, read_blocks
from gtn_hpc.scores.rows import ArchitectureRow, Ask, CertificateRow, FinalRow, Row, Tell, from_plain

STALE = 10.0
"""Seconds for which a directory may list a file that another host has removed."""

LOOK = 0.1
"""Seconds between two looks at such a directory."""


@dataclass(frozen=True)
class Journals:
    """All rows of a run as records, in order of file and line; asks and tells in their order; and the damage.

    A row may be there twice (a retry, a compaction that was cut off): `distinct` says which one counts.
    """

    scores: list[Score] = field(default_factory=list)
    architectures: list[ArchitectureRow] = field(default_factory=list)
    finals: list[FinalRow] = field(default_factory=list)
    certificates: list[CertificateRow] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    tells: list[Tell] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)


@dataclass(frozen=True)
class Piece:
    """The texts of some rows of one journal, and what was damaged among them."""

    file: str
    bodies: list[bytes]
    damage: list[Damage]

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """Plain dictionaries of this version. Raises StorageError for rows of a newer one."""
        return parse(self.file, self.bodies)


class JournalReader:
    """Follows all journals of a directory; each `pieces` goes on where the one before ended.

    Readable at any time, writers take no notice. After a compaction rows come again, under the new journal's name.
    """

    def __init__(self, directory: Path, positions: Mapping[str, Position] | None = None) -> None:
        self._directory = directory
        self.positions: dict[str, Position] = dict(positions or {})

    def pieces(self) -> Iterator[Piece]:
        """What was appended since the last call, a bounded piece at a time."""
        missing, until = "", 0.0
        while True:
            try:
                for path in self._grown():
                    yield from self._pieces_of(path)
                return
            except FileNotFoundError as error:  # compacted since it was listed
                if str(error.filename) != missing:
                    missing, until = str(error.filename), time.monotonic() + STALE
                    continue
                if time.monotonic() >= until:
                    raise StorageError(
                        f"{error.filename} is listed, but there is no such file.",
                        remedy="Is it a link? Bring back what it points to, or remove it.",
                    ) from error
                time.sleep(LOOK)

    def _grown(self) -> list[Path]:
        paths = sorted(self._directory.glob("*.jsonl"))
        return [path for path in paths if path.stat().st_size > self._position(path).offset]

    def _position(self, path: Path) -> Position:
        return self.positions.get(path.name, Position())

    def _pieces_of(self, path: Path) -> Iterator[Piece]:
        try:
            for block in read_blocks(path, self._position(path)):
                self.positions[path.name] = block.end
                unfinished = any(damage.kind == "torn" for damage in block.damage) and is_held(path)
                yield Piece(path.name, block.bodies, [] if unfinished else block.damage)
        except PermissionError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror}.", remedy="Mend its permissions.") from error


Keyed = TypeVar("Keyed", Score, FinalRow, CertificateRow)


def distinct(rows: Iterable[Keyed]) -> list[Keyed]:
    """One row a key, the one that the fold keeps: one that ended well, then the earliest."""
    found: dict[str, Keyed] = {}
    for row in rows:
        first = found.setdefault(row.key, row)
        if first is not row and _precedence(row) < _precedence(first):
            found[row.key] = row
    return list(found.values())


def _precedence(row: Keyed) -> tuple[bool, float, str]:
    return row.status != "ok", row.time, repr(row)


def read_journals(directory: Path) -> Journals:
    """Everything that the journals of a directory hold; nothing where there is no such directory."""
    return read_more(JournalReader(directory))


def read_more(reader: JournalReader) -> Journals:
    """What was appended since the last call of the reader."""
    journals = Journals()
    places: dict[type[Any], list[Any]] = {
        Score: journals.scores,
        ArchitectureRow: journals.architectures,
        FinalRow: journals.finals,
        CertificateRow: journals.certificates,
        Ask: journals.asks,
        Tell: journals.tells,
    }
    for piece in reader.pieces():
        for plain in piece.rows:
            row: Row = from_plain(plain)
            places[type(row)].append(row)
        journals.damage.extend(piece.damage)
    journals.asks.sort(key=lambda ask: (ask.manager, ask.order))
    journals.tells.sort(key=lambda tell: (tell.manager, tell.order))
    return journals
