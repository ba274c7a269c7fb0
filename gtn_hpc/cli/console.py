"""What is printed: tables for people, one JSON object for machines. Notes and progress go to stderr."""

import json
import math
import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gtn_hpc.core.records import plain

WIDTH = 120
"""Columns where there is no terminal to ask."""

SHORT = 24
"""Longest text that is kept on one line of a table."""

WORD = 40
"""Longest word that is kept on one line of a table."""


RELAYS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK")
"""Set by an mpiexec, which gives ranks a terminal of its own whatever its output goes to."""


def out() -> Console:
    return _console(stderr=False)


def err() -> Console:
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    relayed = any(name in os.environ for name in RELAYS)
    width = WIDTH if relayed or not stream.isatty() else None
    return Console(stderr=stderr, highlight=False, force_terminal=False if relayed else None, width=width)


def emit(value: Any) -> None:
    """One JSON object on a line; numbers that are not finite become null."""
    sys.stdout.write(json.dumps(plain(value), allow_nan=False) + "\n")


def width() -> int:
    """Columns that what is printed may take."""
    return out().width


@dataclass(frozen=True)
class _Column:
    """`least`: the columns of the screen that keep numbers, short texts and words whole; `most`: those of one line."""

    name: str
    cells: tuple[str, ...]
    numbers: bool

    @property
    def most(self) -> int:
        return max(map(len, (self.name, *self.cells)))

    @property
    def least(self) -> int:
        if self.numbers or all(len(cell) <= SHORT for cell in self.cells):
            return self.most
        words = " ".join((self.name, *self.cells)).split()
        return max(len(self.name), min(WORD, max(map(len, words))))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Text to the left, numbers to the right.

    No number is ever cut: columns without room are left out from the right, and a line names them.
    """
    rows, page = list(rows), out()
    made = [_column(name, [row[index] for row in rows]) for index, name in enumerate(columns)]
    shown, gap = _fitting(made, page.width)
    if title:
        page.print(title, style="bold", markup=False, soft_wrap=True)
    page.print(_drawn(shown, gap, page.width))
    if left_out := [column.name for column in made[len(shown) :]]:
        say(f"not shown: {', '.join(left_out)}; a wider terminal or --json shows all")


def _column(name: str, values: Sequence[Any]) -> _Column:
    return _Column(name, tuple(map(_text, values)), bool(values) and all(map(_is_number, values)))


def _least(columns: Sequence[_Column], gap: int) -> int:
    """The width of a table of `columns`, each as narrow as may be."""
    return 1 + sum(column.least + gap for column in columns)


def _fitting(columns: Sequence[_Column], room: int) -> tuple[Sequence[_Column], int]:
    """The columns that have room, at least the first, and the spaces between two."""
    if _least(columns, 3) <= room:
        return columns, 3
    while len(columns) > 1 and _least(columns, 2) > room:
        columns = columns[:-1]
    return columns, 2


def _drawn(columns: Sequence[_Column], gap: int, room: int) -> Table:
    made = Table(header_style="", box=box.SIMPLE_HEAD, padding=(0, 1) if gap == 3 else (0, 1, 0, 0))
    for column, taken in zip(columns, _widths(columns, room - _least(columns, gap)), strict=True):
        side: Literal["left", "right"] = "right" if column.numbers else "left"
        made.add_column(Text(column.name), justify=side, overflow="fold", width=taken)
    for cells in zip(*(column.cells for column in columns), strict=True):
        made.add_row(*map(Text, cells))
    return made


def _widths(columns: Sequence[_Column], spare: int) -> list[int]:
    """Each column's least width; what is to spare goes where lines are broken most."""
    taken = [column.least for column in columns]
    for _ in range(spare):
        lines = [column.most / max(width, 1) for column, width in zip(columns, taken, strict=True)]
        if max(lines) <= 1:
            break
        taken[lines.index(max(lines))] += 1
    return taken


def indented(text: str) -> str:
    """`text` in as many lines as it takes, four spaces from the left."""
    return textwrap.fill(text, width(), initial_indent=" " * 4, subsequent_indent=" " * 4)


def say(text: str) -> None:
    out().print(text, markup=False, soft_wrap=True)


def note(text: str) -> None:
    err().print(text, markup=False, soft_wrap=True)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _is_number(cell: Any) -> bool:
    return not str(cell).strip("-+.0123456789")


def _text(cell: Any) -> str:
    if isinstance(cell, float):
        return "" if math.isnan(cell) else f"{cell:.4f}"
    return str(cell)
