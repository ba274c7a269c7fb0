"""Campaigns of single runs that go on where they stopped: a row of JSON for each run that has ended."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def resume(
    report: Path, key: Sequence[str], wanted: Sequence[Sequence[Any]], run: Callable[..., Row], jobs: int
) -> list[Row]:
    """All rows of `report`, once `run(*one)` has added those that are wanted and not there; `key` names their cells."""
    rows = [json.loads(line) for line in report.read_text().splitlines()] if report.is_file() else []
    known = {tuple(row[name] for name in key) for row in rows}
    missing = [one for one in wanted if tuple(one) not in known]
    with ThreadPoolExecutor(jobs) as pool, report.open("a", buffering=1) as file:
        running = [pool.submit(run, *one) for one in missing]
        for count, future in enumerate(as_completed(running), 1):
            row = future.result()
            file.write(json.dumps(row) + "\n")
            rows.append(row)
            said = ", ".join(str(row[name]) for name in key)
            print(f"{count}/{len(missing)} {said}: {row.get('accuracy', row.get('failed', 'done'))}", flush=True)
    return rows
