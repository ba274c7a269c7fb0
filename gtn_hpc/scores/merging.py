"""Joining the rows of several runs and files into one file, as far as they belong into one."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gtn_hpc.core.errors import GtnError, StorageError
from gtn_hpc.core.records import canonical_json
from gtn_hpc.core.rundir import RunDirectory, require_foreign
from gtn_hpc.scores import files, folding, opened, tables
from gtn_hpc.scores.comparing import Source, load, located
from gtn_hpc.scores.tables import Array, Columns, Tables

ORDERS = ("asks", "tells")
"""Tables of what one search asked and was told, in its order."""


@dataclass(frozen=True, order=True)
class Origin:
    """What rows were scored with: image set, its split sizes (JSON), the curriculum's digest; '' where nobody knows."""

    images: str = ""
    split: str = ""
    curriculum: str = ""


def merge(out: Path, inputs: Sequence[Source]) -> folding.FoldReport:
    """Writes one file with the rows of all inputs, one an identity; order and repetition of inputs do not matter.

    Asks and tells are those of one search: where the inputs are of several they are left out, and a note says so, as it
    does where curricula or splits differ. Scores keep their numbers of ask and tell. A run's own file cannot be the
    output: its `scores.h5` is folded from the run's journals and nothing else.

    Raises:
        StorageError: the output is a run's own file, or the inputs were scored with different image sets or on images
            of different shapes.
    """
    out = Path(out)
    require_foreign(out)
    if not inputs:
        raise StorageError("There is nothing to merge.", remedy="Name at least one run or scores file.")
    parts, origins = [load(source) for source in inputs], [set(_origins(source)) for source in inputs]
    _require_one_image_set(inputs, parts, origins)
    every = sorted(set().union(*origins))
    notes = [*_mixed(every), *_left_out(parts)]
    merged = tables.combine(parts)
    files.write(out, merged, sources={"origins": _columns(every)})
    return folding.FoldReport(**vars(folding.report(folding.Folded(merged), 0, written=True)) | {"notes": tuple(notes)})


def _origins(source: Source) -> Iterator[Origin]:
    """Those that a merged file lists, or the one of a run's files."""
    place = located(source)
    if isinstance(place, RunDirectory):
        yield _origin(place.config.read_text() if place.config.is_file() else "", place)
        return
    with opened.open(place) as file:
        columns = file.origins()
        if not len(columns.get("images", ())):
            run = RunDirectory(place.parent)
            yield _origin(file.config, run if place == run.scores else None)
            return
    rows = zip(*(columns[name].tolist() for name in ("images", "split", "curriculum")), strict=True)
    yield from (Origin(*(value.decode() for value in row)) for row in rows)


def _origin(config: str, run: RunDirectory | None) -> Origin:
    from gtn_hpc.config import parse
    from gtn_hpc.config.teaching import without_ending

    search = run.read_state()["stages"].get("search", {}) if run is not None else {}
    try:
        data = parse(config, where="").data
    except GtnError:
        return Origin(curriculum=search.get("curriculum") or "")
    split = canonical_json({"validation": data.validation, "test": data.test, "train": data.train})
    return Origin(without_ending(Path(data.name).name), split, search.get("curriculum") or "")


def _columns(origins: Iterable[Origin]) -> Columns:
    rows = list(origins)
    return {
        name: np.array([getattr(row, name).encode() for row in rows], dtype="S")
        for name in ("images", "split", "curriculum")
    }


def _require_one_image_set(inputs: Sequence[Source], parts: Sequence[Tables], origins: Sequence[set[Origin]]) -> None:
    named = [(source, one.images) for source, some in zip(inputs, origins, strict=True) for one in some if one.images]
    for source, images in named:
        if images != named[0][1]:
            raise StorageError(
                f"{_path(named[0][0])} was scored with the image set {named[0][1]}, {_path(source)} with {images}.",
                remedy="Merge what was scored with one image set: rows of several cannot be compared.",
            )
    known = [(source, part["architectures"]) for source, part in zip(inputs, parts, strict=True)]
    for (first, ours), (second, theirs) in itertools.combinations(known, 2):
        if arch := _of_another_shape(ours, theirs):
            raise StorageError(
                f"{_path(first)} and {_path(second)} give architecture {arch} different parameters or FLOPs: they were "
                "scored on images of different shapes.",
                remedy="Merge what was scored on images of one shape: rows of several cannot be compared.",
            )


def _of_another_shape(ours: Columns, theirs: Columns) -> str:
    _, left, right = np.intersect1d(ours["arch"], theirs["arch"], return_indices=True)
    differs = np.zeros(len(left), dtype=bool)
    for name in ("params", "flops"):
        a, b = ours[name][left], theirs[name][right]
        differs |= (a != b) & (a > 0) & (b > 0)
    return str(ours["arch"][left][differs][0].decode()) if differs.any() else ""


def _path(source: Source) -> Path:
    return source.path if isinstance(source, RunDirectory) else Path(source)


def _mixed(origins: Sequence[Origin]) -> Iterator[str]:
    """Notes on what differs though every row is kept."""
    curricula = sorted({one.curriculum[:16] for one in origins if one.curriculum})
    if len(curricula) > 1:
        yield (
            f"Scores of {len(curricula)} curricula are together ({', '.join(curricula)}): every row is kept, but an "
            "architecture may have several, by different teachers."
        )
    splits = sorted({one.split for one in origins if one.split})
    if len(splits) > 1:
        told = " and ".join(", ".join(f"{name} {value}" for name, value in json.loads(one).items()) for one in splits)
        yield f"Scores on different splits of the images are together ({told}): every row is kept."


def _left_out(parts: Sequence[Tables]) -> list[str]:
    """Takes asks and tells out of `parts` where they are of several searches; says so."""
    if len(parts) < 2 or not (any(map(_lost_its_orders, parts)) or any(_collide(parts, name) for name in ORDERS)):
        return []
    rows = {name: sum(tables.length(part[name]) for part in parts) for name in ORDERS}
    for part in parts:
        part |= {name: tables.empty()[name] for name in ORDERS}
    return [
        f"These are several searches, each with an order of its own: their {rows['asks']} asks and {rows['tells']} "
        "tells are left out. The runs' own files keep them."
    ]


def _lost_its_orders(part: Tables) -> bool:
    """Whether an earlier merge has left them out: scores were asked for, and nobody asked."""
    return bool(tables.length(part["asks"]) == 0 and (part["scores"]["ask"] >= 0).any())


def _collide(parts: Sequence[Tables], name: str) -> bool:
    """Whether a place in the order that several parts have holds in one of them what another does not have."""
    some = [part[name] for part in parts]
    column = {
        one: np.concatenate([part[one] for part in some]) for one in ("manager", "order", "arch", "fidelity", "time")
    }
    source = np.repeat(np.arange(len(some)), [tables.length(part) for part in some])
    place = _codes([column["manager"], column["order"]])
    row = _codes([place, column["arch"], column["fidelity"], column["time"]])
    return bool((_holders(row, source) != _holders(place, source)).any())


def _codes(columns: Sequence[Array]) -> Array:
    """A number for each row: equal for equal rows."""
    codes: Array = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        values, found = np.unique(column, return_inverse=True)
        codes = np.unique(codes * max(1, len(values)) + found, return_inverse=True)[1]
    return codes


def _holders(codes: Array, source: Array) -> Any:
    """For each row, how many sources have a row of its code."""
    pairs = np.unique(np.stack([codes, source]), axis=1)
    return np.bincount(pairs[0])[codes] if len(codes) else codes
