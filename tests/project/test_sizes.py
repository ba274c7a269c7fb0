"""Files and functions stay small; docstrings do not count in functions."""

import ast
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
MEDIAN_FILE, MEDIAN_FUNCTION = 150, 10
A_FILE_AT_ALL = 20
"""Shorter files (an empty `__init__`) would only make the median look better."""

SOURCES = sorted(
    path for tree in ("gtn_hpc", "analysis", "benchmarks", "tests") for path in (ROOT / tree).rglob("*.py")
)


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) + 1


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    last = function.end_lineno or function.lineno
    documented = ast.get_docstring(function, clean=False) is not None
    first = function.body[0]
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if documented else 0
    return last - function.lineno + 1 - docstring


def functions(path: Path) -> list[tuple[str, int]]:
    nodes = ast.walk(ast.parse(path.read_text()))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    where = path.relative_to(ROOT)
    return [(f"{where}:{n.lineno} {n.name}", body_lines(n)) for n in nodes if isinstance(n, kinds)]


def test_no_file_is_too_long():
    long = {str(path.relative_to(ROOT)): lines(path) for path in SOURCES if lines(path) > LONGEST_FILE}
    assert long == {}


def test_no_function_is_too_long():
    long = {name: size for path in SOURCES for name, size in functions(path) if size > LONGEST_FUNCTION}
    assert long == {}


@pytest.mark.parametrize("tree", ["gtn_hpc", "analysis"])
def test_half_of_everything_is_small(tree):
    here = [path for path in SOURCES if path.is_relative_to(ROOT / tree)]
    if not here:
        pytest.skip(f"{tree}/ holds no Python file")
    sizes = [size for path in here for _, size in functions(path)]
    assert statistics.median(sizes) <= MEDIAN_FUNCTION
    counted = [lines(path) for path in here if lines(path) > A_FILE_AT_ALL]
    assert statistics.median(counted) <= MEDIAN_FILE


def test_no_file_is_a_drawer_for_everything():
    assert [path for path in SOURCES if path.stem in {"utils", "util", "common", "helpers", "misc"}] == []
