"""`gtn scores`."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from gtn_hpc.cli import console
from gtn_hpc.cli.options import RUNS, Json, Output, Root, Run, names_file
from gtn_hpc.cli.outputs import Force, format_of, names_folder, require_free
from gtn_hpc.core.rundir import RunDirectory, find

if TYPE_CHECKING:
    from gtn_hpc.scores import ScoreTables
    from gtn_hpc.scores.exporting import Format

group = typer.Typer(help="Look at, check, compare, join, export and tidy scores.", no_args_is_help=True)

SHOWN = 20
"""Rows of a table on a screen."""

Source = Annotated[str, typer.Argument(metavar="RUN|FILE.h5", help="A run, or a scores file.", show_default=False)]


@group.command()
def show(
    source: Source,
    table: Annotated[str, typer.Option(help="Which table to list: scores, architectures, final, ...")] = "scores",
    limit: Annotated[
        int | None, typer.Option(min=0, help=f"Rows to list (default: {SHOWN}; with --json all).", show_default=False)
    ] = None,
    root: Root = RUNS,
    as_json: Json = False,
) -> None:
    """List the rows of a table, scores from the best down; a run's journals are folded first.

    Example: gtn scores show digits --table final
    """
    frame = _rows(file_of(source, root), table)
    listed = len(frame) if as_json else SHOWN
    some = frame.head(listed if limit is None else limit)
    if as_json:
        console.emit({"table": table, "rows": some.astype(object).to_dict("records"), "count": len(frame)})
        return
    columns = [name for name in frame.columns if name not in _WIDE]
    rows = some[columns].itertuples(index=False)
    console.table(f"{len(some)} of {len(frame)} rows of {table}", columns, rows)


@group.command()
def export(
    source: Source,
    output: Annotated[
        str,
        typer.Option(
            "-o", "--output", metavar="FILE|FOLDER", help="FILE.csv, FILE.parquet or FOLDER/.", show_default=False
        ),
    ],
    table: Annotated[
        str | None,
        typer.Option(
            help="scores, architectures, final, ... (default: scores; into a folder, all that have rows).",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        Literal["csv", "parquet"] | None,
        typer.Option("--format", help="Of the files of a folder (default: parquet), or of FILE.", show_default=False),
    ] = None,
    force: Force = False,
    root: Root = RUNS,
    as_json: Json = False,
) -> None:
    """Write tables for other programs, piece by piece: millions of rows take no more memory than thousands.

    Parquet holds units, descriptions, digest, configuration and machine in its metadata; CSV has them in a JSON file of
    the same name. A run's journals are folded first.

    Example: gtn scores export digits -o scores.csv

    Example: gtn scores export digits -o tables/ --format parquet
    """
    from gtn_hpc import scores
    from gtn_hpc.scores import exporting

    with scores.open(file_of(source, root)) as tables:
        files = _files(tables, output, table, kind)
        require_free([path for path, _, made in files for path in exporting.paths(path, made)], force=force)
        rows = [(path, exporting.export(tables, name, path, made)) for path, name, made in files]
    if as_json:
        console.emit({"files": [{"path": path, "rows": count} for path, count in rows]})
    else:
        console.say("\n".join(f"{path}: {count} rows" for path, count in rows))


def _files(
    tables: "ScoreTables", output: str, table: str | None, kind: "Format | None"
) -> "list[tuple[Path, str, Format]]":
    """Which file gets which table in which format."""
    from gtn_hpc.scores import exporting

    if table is not None:
        _known(table)
    if not names_folder(output):
        by_name = cast("Format", format_of(output, kind, {".csv": "csv", ".parquet": "parquet"}))
        return [(Path(output), table or "scores", by_name)]
    wanted = [table] if table is not None else list(exporting.filled(tables)) or ["scores"]
    made = kind or "parquet"
    return [(Path(output) / f"{name}.{made}", name, made) for name in wanted]


@group.command()
def fsck(run: Run, root: Root = RUNS, as_json: Json = False) -> None:
    """Read every line of a run's journals and hold scores.h5 against them; changes nothing. Exit code 1: harm.

    Example: gtn scores fsck digits
    """
    from gtn_hpc import scores

    check = scores.fsck(_run(run, root))
    if as_json:
        console.emit(asdict(check) | {"sound": check.sound})
    else:
        console.say("\n".join(check.lines()))
    if not check.sound:
        raise typer.Exit(1)


@group.command()
def merge(
    sources: Annotated[
        list[str], typer.Argument(metavar="RUN|FILE.h5...", help="Runs and scores files.", show_default=False)
    ],
    output: Output,
    force: Force = False,
    root: Root = RUNS,
    as_json: Json = False,
) -> None:
    """Join the rows of several runs and files into one file, each row once; it may itself be one of the sources.

    They must be of one image set. Asks and tells of different searches are left out, and a note says so.

    Example: gtn scores merge first second extra.h5 -o all.h5
    """
    from gtn_hpc import scores

    joined = [_named(source, root) for source in sources]
    if output.resolve() not in [source.resolve() for source in joined if isinstance(source, Path)]:
        require_free([output], force=force)
    report = scores.merge(output, joined)
    for note in report.notes:
        console.note(note)
    if as_json:
        conflicts = [str(item) for item in report.conflicts]
        console.emit({"file": output, "rows": dict(report.rows), "conflicts": conflicts, "notes": list(report.notes)})
        return
    console.say(f"{output}: " + ", ".join(f"{count} rows in {name}" for name, count in report.rows.items() if count))
    for conflict in report.conflicts:
        console.say(str(conflict))


@group.command()
def verify(first: Source, second: Source, root: Root = RUNS, as_json: Json = False) -> None:
    """Compare the results of two runs or files; exit code 1 and the first difference where they differ.

    Example: gtn scores verify digits again
    """
    from gtn_hpc import scores

    difference = scores.verify(_named(first, root), _named(second, root))
    if as_json:
        console.emit({"equal": difference is None, "difference": None if difference is None else asdict(difference)})
    else:
        console.say("equal" if difference is None else f"different: {difference}")
    if difference is not None:
        raise typer.Exit(1)


@group.command()
def compact(run: Run, root: Root = RUNS, as_json: Json = False) -> None:
    """Put the journals of a run that nobody writes to into one file.

    Example: gtn scores compact digits
    """
    from gtn_hpc import scores
    from gtn_hpc.scores.maintenance import require_unwritten

    require_unwritten(found := _run(run, root))
    done = scores.compact(found)
    if as_json:
        console.emit(asdict(done))
    elif done.into is None:
        console.say("nothing to compact")
    else:
        console.say(f"{done.kept} rows of {done.journals} journals are now in {done.into}")
        for path in done.set_aside:
            console.say(f"set aside, for it has damaged lines: {path}")


@group.command()
def digest(source: Source, root: Root = RUNS, as_json: Json = False) -> None:
    """Print the digest of all results: equal for equal results, whatever the order, the processes and the time.

    Example: gtn scores digest digits
    """
    from gtn_hpc import scores

    found = scores.digest(_named(source, root))
    if as_json:
        console.emit({"digest": found})
    else:
        console.say(found)


_WIDE = {"spec", "key", "detail", "host", "job", "time", "recipe", "peak_bytes", "val_loss", "test_loss", "init_key"}
"""Columns that a table on a screen leaves out."""


def file_of(source: str, root: Path) -> Path:
    """The scores file that is named: by its path, or by a run, whose journals are folded first."""
    return _folded(_named(source, root))


def _named(source: str, root: Path) -> RunDirectory | Path:
    return Path(source) if names_file(source) else _run(source, root)


def _run(run: str, root: Path) -> RunDirectory:
    here = RunDirectory(Path(run))
    return here if here.journal.is_dir() else find(run, root)


def _folded(source: RunDirectory | Path) -> Path:
    """The file to read, brought up to date where that may be done."""
    if isinstance(source, Path):
        return source
    lock = source.fold_lock
    places = (source.path, lock if lock.exists() else source.journal)
    if source.journal.is_dir() and all(os.access(place, os.W_OK) for place in places):
        from gtn_hpc.scores.folding import fold_and_tell

        fold_and_tell(source, console.note)
    return source.scores


def _rows(path: Path, table: str) -> Any:
    from gtn_hpc import scores

    _known(table)
    with scores.open(path) as tables:
        frame = tables.read(table)
    best = [name for name in ("fidelity", "val_accuracy") if name in frame]
    return frame.sort_values(best, ascending=False) if table == "scores" else frame


def _known(table: str) -> None:
    from gtn_hpc.core.errors import UsageError, nearest
    from gtn_hpc.scores.schema import TABLES

    if table not in TABLES:
        raise UsageError(f"There is no table '{table}'.", remedy=nearest(table, TABLES))
