"""Checking and compacting the journals of a run."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gtn_hpc.core.atomic import fsync_directory, replacing
from gtn_hpc.core.errors import RunError, StorageError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.scores import comparing, files, folding, keeping, tables
from gtn_hpc.scores.columnar import from_bodies
from gtn_hpc.scores.folding import Conflict, Folded
from gtn_hpc.scores.journal import is_held, new_path
from gtn_hpc.scores.lines import Damage, read_blocks, wrap
from gtn_hpc.scores.replay import JournalReader
from gtn_hpc.scores.schema import KIND_TABLE
from gtn_hpc.scores.tables import Tables


@dataclass(frozen=True)
class Check:
    """What `fsck` found. `product` is `current`, `behind`, `missing`, or why `scores.h5` cannot be read; `lost` counts
    the rows of results in it, by table, that no journal has."""

    journals: int
    rows: Mapping[str, int]
    duplicates: Mapping[str, int]
    damage: tuple[Damage, ...]
    conflicts: tuple[Conflict, ...]
    product: str
    lost: Mapping[str, int]

    @property
    def sound(self) -> bool:
        """Nothing is lost or contradictory; torn ends (never acknowledged) and a product to be folded are no harm."""
        harmed = any(damage.kind != "torn" for damage in self.damage)
        return not harmed and not self.conflicts and not self.lost and self.product in ("current", "behind", "missing")

    def lines(self) -> Iterator[str]:
        """The findings for people."""
        yield f"{self.journals} journals: " + (
            ", ".join(f"{count} rows in {name}" for name, count in self.rows.items() if count) or "no rows"
        )
        yield from (f"{count} duplicate rows in {name} dropped" for name, count in self.duplicates.items())
        yield from map(str, self.damage)
        yield from map(str, self.conflicts)
        yield f"scores.h5: {self.product}"
        if self.lost:
            yield f"scores.h5 holds {keeping.told(self.lost)}: bring the journals back, or keep a copy of the file"


def fsck(run: RunDirectory) -> Check:
    """Reads every journal line and compares the product with them. Changes nothing."""
    product, state = _product(run)  # before the journals, which may grow: what is in it is in them
    reader = JournalReader(run.journal)
    parts, damage, found = [tables.empty()], [], Counter[str]()
    for piece in reader.pieces():
        made = from_bodies(piece.file, piece.bodies)
        found.update({name: sum(tables.length(part[name]) for part in made) for name in KIND_TABLE.values()})
        parts += made
        damage.extend(piece.damage)
    folded = Folded(tables.use_up(parts), reader.positions, damage)
    report = folding.report(folded, found.total(), written=False)
    return Check(
        journals=len(reader.positions),
        rows=report.rows,
        duplicates={name: count - report.rows[name] for name, count in found.items() if count > report.rows[name]},
        damage=report.damage,
        conflicts=report.conflicts,
        product=state or _standing(product, folded.tables),
        lost=keeping.lost(product, folded.tables),
    )


def _product(run: RunDirectory) -> tuple[Tables, str]:
    """The tables of `scores.h5`, or none and why."""
    if not run.scores.is_file():
        return tables.empty(), "missing"
    try:
        return files.load(run.scores), ""
    except StorageError as error:
        return tables.empty(), error.what


def _standing(product: Tables, truth: Tables) -> str:
    counts = [{name: tables.length(columns) for name, columns in loaded.items()} for loaded in (product, truth)]
    equal = counts[0] == counts[1] and comparing.digest_of(product["scores"]) == comparing.digest_of(truth["scores"])
    return "current" if equal else "behind"


@dataclass(frozen=True)
class Compaction:
    """`kept` rows of `journals` files went to `into`; the files with damage lie in `set_aside`."""

    into: Path | None
    journals: int
    kept: int
    set_aside: tuple[Path, ...]


def require_unwritten(run: RunDirectory) -> None:
    """Raises RunError where a living process writes to a journal of the run, as far as locks reach."""
    held = [path.name for path in sorted(run.journal.glob("*.jsonl")) if is_held(path)]
    if held:
        more = f" and {len(held) - 1} more" if len(held) > 1 else ""
        raise RunError(
            f"A process is searching in {run.path}, or training its winners: it writes to the journal {held[0]}{more}.",
            remedy="Wait for it, or end it.",
        )


def compact(run: RunDirectory) -> Compaction:
    """Puts the journals that no living process holds into one.

    Killed at any moment it loses nothing: the new journal is whole before an old one goes, and rows that are there
    twice are one. Files with damaged lines are moved to `journal/damaged/`, not deleted. Where the file system's locks
    do not reach other machines (flock on some Lustre mounts), run it only while no job of the run is alive.
    """
    with folding.locked(run):
        old = [path for path in sorted(run.journal.glob("*.jsonl")) if path.stat().st_size and not is_held(path)]
        if len(old) < 2:
            return Compaction(None, 0, 0, ())
        into = new_path(run.journal, "compact")
        with replacing(into) as beside, open(beside, "wb") as file:
            kept, damaged = _copy(old, file)
        aside = tuple(_retire(path, damaged=path in damaged) for path in old)
        fsync_directory(run.journal)
        return Compaction(into, len(old), kept, tuple(path for path in aside if path))


def _copy(old: Iterable[Path], file: BinaryIO) -> tuple[int, set[Path]]:
    """Copies each distinct whole row once; returns their number and the files that have damaged lines."""
    seen: set[bytes] = set()
    damaged: set[Path] = set()
    for path in old:
        for block in read_blocks(path):
            new = {hashlib.blake2b(body, digest_size=16).digest(): body for body in block.bodies}
            file.writelines(wrap(body) for mark, body in new.items() if mark not in seen)
            seen.update(new)
            if any(item.kind != "torn" for item in block.damage):
                damaged.add(path)
    return len(seen), damaged


def _retire(path: Path, *, damaged: bool) -> Path | None:
    """Removes a copied journal, or sets it aside where it holds more than could be copied."""
    if not damaged:
        path.unlink()
        return None
    aside = path.parent / "damaged" / path.name
    aside.parent.mkdir(exist_ok=True)
    os.replace(path, aside)
    return aside
