"""What a search's evaluations have in common, as a record that can be sent to another process. Imports no torch."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gtn_hpc.config import Config
from gtn_hpc.config.teaching import Inner
from gtn_hpc.training.header import Header
from gtn_hpc.training.request import Identity


@dataclass(frozen=True)
class Setting:
    """The configuration, and the curriculum: its file and what stands at its head."""

    config: Config
    curriculum: Path
    header: Header

    @property
    def digest(self) -> str:
        return self.header.digest

    @property
    def inner(self) -> Inner:
        return self.header.inner

    @cached_property
    def identity(self) -> Identity:
        return Identity.of(self.config, self.digest, self.inner.model_dump(mode="json"))

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}
