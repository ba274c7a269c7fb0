"""Progress with the time left: a bar on a terminal, a line now and then in a log."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gtn_hpc.cli import console

PERIOD = 10.0
"""Seconds between two lines of a log."""


class Meter:
    """Counts up to `total`; silent where `shown` is false (ranks but the first)."""

    def __init__(self, label: str, total: int, *, shown: bool = True) -> None:
        self._label, self._total, self._shown = label, total, shown
        self._console = console.err()
        self._bar = _bar(self._console, label, total) if shown and self._console.is_terminal else None
        self._began = self._said = time.monotonic()
        self._working = self._began
        self._first: int | None = None
        self._ended = False

    def turn_to(self, label: str, total: int) -> None:
        """The next thing to count, where it is not the one that is counted."""
        if (label, total) == (self._label, self._total):
            return
        self._label, self._total, self._first, self._ended = label, total, None, False
        if self._bar is not None:
            self._bar.reset(self._bar.task_ids[0], total=total, description=label, text="", left="")

    def reach(self, done: int, text: str = "", *, total: int | None = None, left: str | None = None) -> None:
        """`done` are done, of a new `total` where one is given; `text` says how it goes, `left` how long it still
        takes, which else is told by the pace."""
        self._total = self._total if total is None else total
        if self._first is None:
            self._first, self._working = done, time.monotonic()
        left = self._left(done) if left is None else left
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, total=self._total, text=text, left=left)
        elif self._shown and ((done == self._total and not self._ended) or time.monotonic() - self._said >= PERIOD):
            self._said = time.monotonic()
            gone = f"{console.duration(self._said - self._began)} gone"
            told = f"{self._label} {done}/{self._total}  {text}  {', '.join(filter(None, (gone, left)))}"
            self._console.print(told, markup=False, soft_wrap=True)
        self._ended = done == self._total

    def note(self, text: str) -> None:
        """A message that stays."""
        if self._shown:
            (self._bar.console if self._bar is not None else self._console).print(text, markup=False, soft_wrap=True)

    def _left(self, done: int) -> str:
        """By the pace since the first call: what came before was preparation."""
        steps = done - (self._first or 0)
        if steps <= 0:
            return ""
        return f"{console.duration((self._total - done) * (time.monotonic() - self._working) / steps)} left"

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _bar(where: Console, label: str, total: int) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    progress = Progress(*columns, console=where)
    progress.add_task(label, total=total, text="", left="")
    return progress
