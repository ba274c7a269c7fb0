"""JSON-lines event logs: one object a line, `time` (Unix seconds) and `kind` in each."""

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Any, Self

from gtn_hpc.core.records import plain
from gtn_hpc.core.rundir import RunDirectory


class EventLog:
    """Appends events to one file of one process; a line reaches the file whole, in one write.

    Lines survive the death of the process, not that of the machine: events explain a run, no result depends on them.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        torn = path.is_file() and path.read_bytes()[-1:] not in (b"", b"\n")
        self._file = open(path, "ab", buffering=0)
        if torn:
            self._file.write(b"\n")

    def write(self, kind: str, **values: Any) -> None:
        """Appends one event; a number that is not finite is written as null, which every JSON reader knows."""
        event = {"time": time.time(), "kind": kind, **values}
        self._file.write((json.dumps(plain(event), allow_nan=False) + "\n").encode())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a file, or of all `*.jsonl` of a directory in order of name; torn lines are skipped."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    for file in files:
        for line in file.read_bytes().split(b"\n"):
            try:
                yield json.loads(line)
            except ValueError:
                continue


def meta_seconds(run: Path) -> float:
    """Seconds of all ranks together that meta-training in the run directory `run` took, from the iterations that were
    logged to all of them; NaN where none was."""
    path, seconds = RunDirectory(run).training_events, dict[int, float]()
    for event in read_events(path) if path.is_file() else ():
        if event["kind"] == "iterated":
            seconds[event["iteration"]] = event["seconds"] * event.get("ranks", 1)  # older events name no ranks
    return (1 + max(seconds)) * fmean(seconds.values()) if seconds else math.nan
