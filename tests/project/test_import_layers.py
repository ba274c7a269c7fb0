"""Who may import whom, and that each dangerous library has one owner (both tables live in pyproject.toml)."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "gtn_hpc"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BANNED = PROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
OWNERS = {library: entry["msg"].removeprefix("owned by gtn_hpc.") for library, entry in BANNED.items()}
RIVALS = {"bench"}
"""May import any library, to measure it beside ours."""


def names_used(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import and of every attribute chain, so that `torch.save` is seen either way."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield node.lineno, ast.unparse(node)


def owned(name: str) -> str | None:
    return next((library for library in OWNERS if name == library or name.startswith(library + ".")), None)


def strangers(path: Path, tree: ast.AST) -> set[str]:
    package = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    uses = ((line, name, OWNERS.get(owned(name) or "")) for line, name in names_used(tree))
    return {
        f"{path.relative_to(ROOT)}:{line} {name} (owned by {owner})"
        for line, name, owner in uses
        if owner is not None and owner != package and package not in RIVALS
    }


def test_a_row_imports_only_rows_below(launch):
    done = launch([Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 kept, 0 broken" in done.stdout


def test_each_owned_library_is_imported_by_its_owner_only():
    found = [strangers(path, ast.parse(path.read_text())) for path in sorted(PACKAGE.rglob("*.py"))]
    assert sorted(set().union(*found)) == []


@pytest.mark.parametrize(
    "line", ["import h5py", "from h5py import File", "import torch\ntorch.save(1)", "from torch.func import vmap"]
)
def test_a_stranger_is_seen(line):
    assert strangers(PACKAGE / "meta" / "new.py", ast.parse(line))


def test_owners_and_rows_are_those_of_the_layout():
    rows = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    listed = {name for row in rows for name in re.findall(r"\w+", row)}
    present = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert present <= listed
    assert set(OWNERS.values()) <= listed
