"""The configuration of a whole run: pydantic models, YAML with dotted overrides, and the claim on a run directory."""

from gtn_hpc.config.load import dump, load, parse
from gtn_hpc.config.reference import Key, reference
from gtn_hpc.config.schema import Config

__all__ = ["Config", "Key", "dump", "load", "parse", "reference"]
