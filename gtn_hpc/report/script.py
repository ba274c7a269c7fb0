"""What the scripts of analysis/ share: their arguments, the files that they write, and errors without a traceback."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gtn_hpc import __version__, scores
from gtn_hpc.core import atomic
from gtn_hpc.core.errors import GtnError, StorageError
from gtn_hpc.core.records import plain
from gtn_hpc.report.figures.style import Chart, save
from gtn_hpc.scores import ScoreTables


@dataclass(frozen=True, eq=False)
class Finding:
    """A conclusion: the table, its picture, what else there is to know of it (JSON-able), and what it says in words."""

    table: pd.DataFrame
    chart: Chart
    facts: Mapping[str, Any]
    words: Sequence[str] = ()


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Says the default where there is one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def parser(
    description: str, inputs: str = "scores.h5 files, or run directories", splits: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """Input paths and `-o STEM`; of scripts about judged learners also `--split`, one of `splits` (the first)."""
    made = argparse.ArgumentParser(description=description, formatter_class=_Help)
    made.add_argument("paths", nargs="+", type=Path, metavar="PATH", help=inputs)
    made.add_argument("-o", "--output", metavar="STEM", help="write STEM.png, STEM.svg, STEM.csv and STEM.json")
    if splits:
        made.add_argument("--split", choices=splits, default=splits[0], help="images that learners are judged on")
    return made


def run(options: argparse.ArgumentParser, find: Callable[[argparse.Namespace], Finding]) -> int:
    """Prints what `find` finds in the files that the command line names, writes it where asked; the exit code."""
    chosen = options.parse_args()
    try:
        finding = find(chosen)
        if finding.table.empty:
            raise StorageError("The files hold nothing to show.", remedy="Run the stage first that would write it.")
        print(finding.table.to_string(index=False))
        print(*finding.words, sep="\n", end="\n" if finding.words else "")
        if chosen.output:
            _write(finding, chosen)
    except GtnError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _write(finding: Finding, chosen: argparse.Namespace) -> None:
    told = {
        "made_by": f"gtn_hpc {__version__}",
        "options": {name: plain(value) for name, value in vars(chosen).items()},
        "facts": plain(dict(finding.facts)),
        "words": list(finding.words),
        "rows": [plain(row) for row in finding.table.to_dict("records")],
    }
    try:
        atomic.write_text(Path(f"{chosen.output}.csv"), finding.table.to_csv(index=False))
        atomic.write_json(Path(f"{chosen.output}.json"), told)
        save(finding.chart, chosen.output)
    except OSError as error:
        raise StorageError(
            f"{chosen.output}.* cannot be written: {error.strerror}.", remedy="Name another STEM with -o."
        ) from error


def each(paths: Sequence[Path], read: Callable[[ScoreTables], pd.DataFrame]) -> pd.DataFrame:
    """What `read` finds in each scores file, with a column `run` in front."""
    parts = []
    for name, path in names(paths).items():
        with scores.open(path) as tables:
            parts.append(read(tables).assign(run=name))
    joined = pd.concat(parts, ignore_index=True)
    return joined[["run", *(column for column in joined if column != "run")]]


def names(paths: Sequence[Path]) -> dict[str, Path]:
    """A name for each path: that of its run directory, or of the file; the whole path where two would be equal."""
    short = [_short(path) for path in paths]
    unique = len(set(short)) == len(short) and all(short)
    return dict(zip(short if unique else map(str, paths), paths, strict=True))


def _short(path: Path) -> str:
    """Dots are part of a run's name."""
    if path.is_dir():
        return path.name
    return path.parent.name if path.name in ("scores.h5", "curriculum.h5") else path.stem
