"""Architectures from a file, in its order."""

import json
from pathlib import Path

from gtn_hpc.core.errors import ArchitectureError, ConfigError
from gtn_hpc.core.records import Architecture
from gtn_hpc.search.algorithm import Algorithm, Outcome, Proposal
from gtn_hpc.spaces import Space


class FixedList(Algorithm):
    """Every architecture of a list once; equal networks count as one."""

    def __init__(self, architectures: list[Architecture], steps: int) -> None:
        self.architectures, self.steps = architectures, steps

    @property
    def patient(self) -> bool:
        return True

    def ask(self, number: int, *, fresh: bool) -> Proposal | None:
        if not fresh or number >= len(self.architectures):
            return None
        return Proposal(number, self.architectures[number], self.steps)

    def tell(self, outcome: Outcome) -> None:
        """A list learns nothing."""


def read_list(path: Path, space: Space) -> list[Architecture]:
    """The canonical architectures of a file with one JSON specification a line, each once.

    A line is a specification (`{"widths": [8, 8, 16]}`) or a whole architecture (`{"space": ..., "spec": ...}`).

    Raises:
        ConfigError: the file cannot be read or is empty, or a line, which is named, is no architecture of `space`.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"Cannot read the list of architectures {path}: {error}.", remedy="Name a text file."
        ) from error
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    found = (_architecture(line, space, f"{path}, line {number}") for number, line in numbered)
    architectures = list({arch.digest: arch for arch in found}.values())
    if not architectures:
        raise ConfigError(
            f"The list of architectures {path} is empty.",
            remedy=f"Write one specification a line, as docs/search.md shows; search.space is {space.name}.",
        )
    return architectures


def _architecture(line: str, space: Space, where: str) -> Architecture:
    try:
        value = json.loads(line)
        whole = isinstance(value, dict) and set(value) == {"space", "spec"}
        return space.canonical(Architecture(value["space"], value["spec"]) if whole else space.architecture(value))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}: not JSON: {error}.", remedy="Give one specification a line.") from error
    except ArchitectureError as error:
        raise ConfigError(f"{where}: {error.what}", remedy=error.remedy) from error
