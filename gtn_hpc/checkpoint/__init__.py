"""Checkpoints that are there whole or not at all, and the flag that asks for the last one."""

from gtn_hpc.checkpoint.background import BackgroundSaver
from gtn_hpc.checkpoint.layout import step_directory
from gtn_hpc.checkpoint.reading import Loaded, latest, load
from gtn_hpc.checkpoint.stop import StopFlag
from gtn_hpc.checkpoint.writing import remove_after, save

__all__ = ["BackgroundSaver", "Loaded", "StopFlag", "latest", "load", "remove_after", "save", "step_directory"]
