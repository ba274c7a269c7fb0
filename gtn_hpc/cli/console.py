"""What is printed: tables for people, one JSON object for machines. Notes and progress go to stderr."""

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

WIDTH = 120
"""Columns where there is no terminal to ask."""

SHORT = 24
"""Longest text that is kept on one line of a table."""


def out() -> Console:
    return _console(stderr=False)


def err() -> Console:
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else WIDTH)


def emit(value: Any) -> None:
    """One JSON object on a line; numbers that are not finite become null."""
    sys.stdout.write(json.dumps(_plain(value), allow_nan=False) + "\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Text to the left, numbers to the right."""
    rows = [list(row) for row in rows]
    made = Table(header_style="", box=box.SIMPLE_HEAD)
    for index, name in enumerate(columns):
        numbers = all(_is_number(row[index]) for row in rows)
        short = all(len(_text(row[index])) <= SHORT for row in rows)
        made.add_column(name, justify="right" if numbers and rows else "left", overflow="fold", no_wrap=short)
    for row in rows:
        made.add_row(*(_text(cell) for cell in row))
    if title:
        out().print(title, style="bold", markup=False, soft_wrap=True)
    out().print(made)


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


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int | str | None) else str(value)
