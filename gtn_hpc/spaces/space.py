"""What every space of architectures can do."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gtn_hpc.core.errors import ArchitectureError, ConfigError
from gtn_hpc.core.records import Architecture, ImageShape
from gtn_hpc.spaces.plan import Plan
from gtn_hpc.spaces.planner import Planner

Spec = Mapping[str, Any]
"""What is searched, as JSON: a network's N, F, image size and classes stand elsewhere."""


CELLS_ONLY = "Only cell networks (nao_cell, nasbench201) have one: set it to 0."


@dataclass(frozen=True)
class Trunk:
    """The ends of a network before its heads: the value to classify, and a cell network's state on the way to it."""

    features: int
    early: int | None = None


class Space(ABC):
    """A set of architectures for one image shape and number of classes.

    The identity of an architecture is `canonical(arch).digest`. Methods that take an architecture refuse one that
    is not of this space with an `ArchitectureError`.
    """

    name: ClassVar[str]
    weight_norm: ClassVar[bool]

    def __init__(self, image: ImageShape, classes: int) -> None:
        self.image, self.classes = image, classes

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> Architecture:
        """A random architecture."""

    @abstractmethod
    def draw(self, arch: Architecture) -> str:
        """An SVG picture of what is searched, in the colour of the surrounding text."""

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Every other network that one change makes of `arch`, once each; a canonical form is computed for each."""
        seen = {self.canonical(arch).digest}
        for spec in self._changes(arch.spec):
            neighbour = self.architecture(spec)
            digest = self.canonical(neighbour).digest
            if digest not in seen:
                seen.add(digest)
                yield neighbour

    def mutate(self, arch: Architecture, rng: np.random.Generator) -> Architecture:
        """`arch` with one random change that makes another network; `arch` itself where no change does."""
        here, changes = self.canonical(arch).digest, list(self._changes(arch.spec))
        for index in rng.permutation(len(changes)):
            changed = self.architecture(changes[index])
            if self.canonical(changed).digest != here:
                return changed
        return arch

    def canonical(self, arch: Architecture) -> Architecture:
        """The one form that all isomorphic networks share; idempotent. Networks are built from it."""
        self.validate(arch)
        return self.architecture(self._canonical_spec(arch.spec))

    def validate(self, arch: Architecture) -> None:
        """Refuses what is not of this space, saying what is wrong, where, and what may stand there."""
        if arch.space != self.name:
            raise ArchitectureError(
                f"an architecture of space '{arch.space}' in space '{self.name}'",
                remedy=f"Name one of space '{self.name}', or the other space: search.space.name={arch.space}.",
            )
        if not isinstance(arch.spec, Mapping):
            raise ArchitectureError(
                f"{self.name}: the specification is {arch.spec!r}, not a mapping",
                remedy="Name its keys and values; gtn scores show RUN --table architectures --json lists some.",
            )
        self._validate_spec(arch.spec)

    def plan(self, arch: Architecture, *, auxiliary: bool = False) -> Plan:
        """The layers of the canonical network, with the auxiliary head by option (cell networks only)."""
        planner = Planner(self.image, weight_norm=self.weight_norm)
        trunk = self._lay(planner, self.canonical(arch).spec)
        logits = planner.classify(trunk.features, self.classes)
        if auxiliary:
            if trunk.early is None:
                raise ConfigError(f"an auxiliary head on a network of space {self.name}", remedy=CELLS_ONLY)
            planner.auxiliary_head(trunk.early, self.classes)
        return planner.finish(logits)

    def params(self, arch: Architecture) -> int:
        """Trainable numbers of the canonical network without auxiliary head."""
        return self.plan(arch).params

    def flops(self, arch: Architecture) -> int:
        """2 x multiply-adds of convolutions and fully connected layers, forward, one image, padding included.

        Norms, activations, pooling and weight norm are not counted.
        """
        return self.plan(arch).flops

    def architecture(self, spec: Spec) -> Architecture:
        return Architecture(self.name, spec)

    @abstractmethod
    def _validate_spec(self, spec: Spec) -> None: ...

    @abstractmethod
    def _changes(self, spec: Spec) -> Iterator[Spec]:
        """Valid specifications that differ from `spec` in one thing."""

    @abstractmethod
    def _canonical_spec(self, spec: Spec) -> Spec: ...

    @abstractmethod
    def _lay(self, planner: Planner, spec: Spec) -> Trunk:
        """Writes the network of a canonical specification up to its heads."""


def is_int(value: object) -> bool:
    """JSON integers only: True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_keys(where: str, value: object, keys: frozenset[str]) -> None:
    """Refuses what is not a mapping of exactly `keys`."""
    if not isinstance(value, Mapping) or set(value) != keys:
        found = sorted(map(str, value)) if isinstance(value, Mapping) else value
        raise ArchitectureError(f"{where}: has {found}", remedy=f"It must hold exactly: {', '.join(sorted(keys))}.")


def check_choice(where: str, value: object, valid: tuple[Any, ...]) -> None:
    """Refuses a value that is not one of `valid`, or equals one but is of another type."""
    if not any(type(value) is type(choice) and value == choice for choice in valid):
        raise ArchitectureError(f"{where}: {value!r}", remedy=f"Valid: {', '.join(map(str, valid))}.")
