"""JSON-lines event logs: one object a line, `time` (Unix seconds) and `kind` in each."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class EventLog:
    """Appends events to one file of one process; a line is written whole, in one call."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "a", encoding="utf-8", buffering=1)

    def write(self, kind: str, **values: Any) -> None:
        self._file.write(json.dumps({"time": time.time(), "kind": kind, **values}) + "\n")

    def close(self) -> None:
        self._file.close()


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a file, or of all `*.jsonl` of a directory in order of name; a torn last line is skipped."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue
