"""The committed reports of campaigns are what the campaigns of today make of the committed rows."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    **dict.fromkeys(("processor", "cores", "python", "revision"), "?"),
    "packages": dict.fromkeys(("numpy", "scipy", "h5py"), "?"),
    "dirty": False,
}
REPORTS: dict[str, tuple[str, str, Callable[[Any, Any], str]]] = {
    "algorithms": (
        "search/campaign_algorithms",
        "2026-11-27",
        lambda of, rows: "\n".join([*of.table_lines(rows), *of.digits_lines(rows)]),
    ),
    "arms": ("meta/campaign_arms", "2026-11-26", lambda of, rows: of.page(rows, 3)),
    "digests": ("search/campaign_digests", "2026-11-26", lambda of, rows: of.page(rows, 24)),
    "families": ("meta/campaign_families", "2026-11-27", lambda of, rows: of.page(rows)),
    "kills-search": ("search/campaign_kills_search", "2026-11-26", lambda of, rows: of.summary(rows)),
    "kills-train": ("survival/campaign_kills_train", "2026-11-26", lambda of, rows: of.summary(rows, "?")),
    "large": ("report/campaign_large", "2026-11-26", lambda of, rows: of.page(rows, of.Study(1, 1, 1, 0), ENVIRONMENT)),
}


@pytest.mark.parametrize("name", REPORTS)
def test_the_tables_of_a_report_follow_from_its_rows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, date, written = REPORTS[name]
    path = ROOT / "tests" / f"{program}.py"
    monkeypatch.syspath_prepend(path.parent)
    report = ROOT / "benchmarks" / f"{date}-{name}"
    rows = [json.loads(line) for line in report.with_suffix(".jsonl").read_text().splitlines()]
    made = [line for line in written(importlib.import_module(path.stem), rows).splitlines() if line.startswith("|")]
    committed = report.with_suffix(".md").read_text().splitlines()
    assert len(made) > 2
    assert [line for line in made if line not in committed] == []
