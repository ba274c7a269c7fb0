"""Where training stands."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Self


@dataclass(frozen=True)
class Place:
    """Meta-iterations done, refusals in a row up to here, and the generation of random streams replicas draw from."""

    done: int = 0
    refused: int = 0
    generation: int = 0

    def updated(self) -> Self:
        return replace(self, done=self.done + 1, refused=0)

    def refusing(self) -> Self:
        return replace(self, done=self.done + 1, refused=self.refused + 1)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
