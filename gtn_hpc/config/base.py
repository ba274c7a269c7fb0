"""The base of every section."""

import os
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

MOST_AT_ONCE = 1024
"""Threads or processes that one setting may start on a machine: far more than cores end in a crash without a word."""

Place = Annotated[str, AfterValidator(os.path.expanduser)]
"""A path, of which `~` at its head is the home directory, as in a shell."""


class Section(BaseModel):
    """Frozen; refuses unknown keys, NaN and infinities. Text for a number is refused where YAML is read, in `load`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)
