"""What is asked of an evaluator, and the keys under which answers are kept. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from gtn_hpc.config import Config
from gtn_hpc.core.records import Architecture, canonical_json
from gtn_hpc.curriculum.parts import Units
from gtn_hpc.scores.keys import init_key, key

Source = Literal["curriculum", "real", "real_steps", "real_seconds", "real_subset", "untrained"]
"""What a learner is taught by: the curriculum, real data until its truth is known, or a control of the certificate.

Controls: real data for as many steps or as many seconds as the curriculum takes, and in the curriculum's place a random
real subset, or what a random teacher shows (without a start from real images).
"""

REAL = {"real", "real_steps", "real_seconds"}
"""Sources that are streams of fresh real batches, with the rate and momentum of `final.recipe`."""

USED = {"lr", "momentum", "batch", "crop", "flip", "cutout"}
"""The settings of `final.recipe` that training on real data for a number of steps depends on."""

STATISTICS = "running, without their start"
"""Of batch norm in learners on real data, when they are measured."""

CHUNKS = (256, 256, 32)
"""Images that are judged at a time, in the first training and in those after memory ended."""


@dataclass(frozen=True)
class Request:
    """Train one replica of `arch` (canonical) for `fidelity` inner steps on the curriculum or on real data.

    `parent` is the digest of the architecture that it was made from, `ask` the number of the proposal. Memory
    ended in `tries` trainings before this one.
    """

    arch: Architecture
    fidelity: int
    replica: int = 0
    source: Source = "curriculum"
    parent: str = ""
    ask: int = -1
    tries: int = 0

    @property
    def chunk(self) -> int:
        """How many images are judged at a time, which changes last bits of a loss at most."""
        return CHUNKS[self.tries]

    @property
    def again(self) -> "Request | None":
        """The same, to be tried once more after memory ended; None where it was tried often enough."""
        return replace(self, tries=self.tries + 1) if self.tries + 1 < len(CHUNKS) else None


@dataclass(frozen=True)
class Identity:
    """Everything that a score depends on besides its request, as JSON: `common`, and what each source stands for
    (`untrained`: the sections of the configuration that a fresh teacher is made from).

    `ways` are settings that change the rounding alone: they are part of keys, but the same learner begins under all.

    A key has one value on one type of processor and build of torch.
    """

    common: str
    curriculum: str
    real: str
    ways: str = ""
    untrained: str = ""

    @classmethod
    def of(cls, config: Config, curriculum: str, inner: Mapping[str, Any], units: Units | None = None) -> "Identity":
        """Of a run's configuration, the digest of its curriculum, the inner optimiser that this was made for and, where
        they are not those of the run's own images, the units of its images."""
        common = {
            "seed": config.run.seed,
            "threads": config.run.threads,
            "precision": config.run.precision,
            "data": config.data.identity,
            "space": config.search.space.model_dump(mode="json"),
        }
        recipe = config.final.recipe.model_dump(mode="json", include=USED)
        taught = {"digest": curriculum, "inner": dict(inner)} | ({} if units is None else {"units": units})
        ways = {"fast": config.search.fast}
        sources = canonical_json({"taught": taught}), canonical_json({"real": recipe, "statistics": STATISTICS})
        return cls(canonical_json(common), *sources, canonical_json(ways), _untrained(config))

    def stream(self, request: Request) -> str:
        """Initialisation and order follow from it; it lacks the fidelity, so longer runs go on equally."""
        return init_key(request.arch.digest, self._taught(request.source), {"common": self.common}, request.replica)

    def learner(self, request: Request) -> str:
        """The key without the fidelity: names the saved state of a learner that may be taught on."""
        return init_key(request.arch.digest, self._taught(request.source), self._settings, request.replica)

    def key(self, request: Request) -> str:
        """Names the row of scores that answers `request`."""
        return self.key_of(request.arch.digest, request.source, request.replica, request.fidelity)

    def key_of(self, arch: str, source: Source, replica: int, fidelity: int) -> str:
        """The key of a request for the architecture with that digest."""
        return key(arch, self._taught(source), self._settings, replica, fidelity)

    @property
    def _settings(self) -> dict[str, str]:
        return {"common": self.common, "ways": self.ways}

    def _taught(self, source: Source) -> str:
        if source == "curriculum":
            return self.curriculum
        if source == "real":
            return self.real
        taught = self.real if source in REAL else self.curriculum
        untrained = self.untrained if source == "untrained" else ""
        return canonical_json({"control": source, "of": taught, "untrained": untrained})


def _untrained(config: Config) -> str:
    return canonical_json({name: getattr(config, name).model_dump(mode="json") for name in ("teacher", "inner")})
