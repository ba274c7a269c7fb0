"""A machine without torch can configure, submit, manage a farm, read scores and report."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WHOLE = ("core", "config", "spaces", "storage", "scores", "stats", "launch", "report", "cli")
PARTS = ("cluster", "cluster.environment", "cluster.mpi", "farm", "search", "search.loop")

PROGRAM = """
import importlib, pkgutil, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is blocked")

sys.meta_path.insert(0, Block())
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    if name.removeprefix("gtn_hpc.") in {whole}:
        for found in pkgutil.walk_packages(module.__path__, name + "."):
            importlib.import_module(found.name)
print(len([name for name in sys.modules if name.startswith("gtn_hpc.")]))
"""


def present(names: tuple[str, ...]) -> list[str]:
    paths = {name: ROOT / "gtn_hpc" / name.replace(".", "/") for name in names}
    found = [
        name for name, path in paths.items() if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
    ]
    return [f"gtn_hpc.{name}" for name in found]


@pytest.mark.parametrize("names", [WHOLE, PARTS], ids=["whole", "parts"])
def test_these_import_with_torch_blocked(launch, names):
    modules = present(names)
    done = launch([sys.executable, "-c", PROGRAM.replace("{whole}", repr(WHOLE)), *modules], cwd=ROOT)
    assert int(done.stdout) >= len(modules)


def test_the_block_blocks(launch):
    done = launch([sys.executable, "-c", PROGRAM.replace("{whole}", "()"), "gtn_hpc.models.layers"], check=False)
    assert done.returncode != 0
    assert "torch is blocked" in done.stderr
