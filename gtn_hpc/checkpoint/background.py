"""Checkpoints written by a thread while training goes on."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from gtn_hpc.checkpoint.writing import copied, write


class BackgroundSaver:
    """Saves to `directory` as `save` does, at most one checkpoint at a time; costs a copy of the state on the CPU."""

    def __init__(self, directory: Path, keep: int, every: int = 1) -> None:
        self._directory, self._keep, self._every = directory, keep, every
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._under_way: Future[None] | None = None

    def save(self, step: int, tensors: Mapping[str, Any], meta: Mapping[str, Any], saved: Callable[[], None]) -> None:
        """Copies `tensors` and returns; `saved` is called, in the thread, once the checkpoint is whole.

        Raises:
            CheckpointError: the save before this one failed, or `tensors` holds what a checkpoint does not.
        """
        self.wait()
        self._under_way = self._thread.submit(self._write, step, copied(tensors), dict(meta), saved)

    def wait(self) -> None:
        """Returns once nothing is under way. Raises CheckpointError where the last save failed."""
        if (under_way := self._under_way) is not None:
            wait([under_way])  # Ctrl-C in here leaves it under way, for who waits next
            self._under_way = None
            under_way.result()

    def _write(self, step: int, copy: dict[str, Any], meta: dict[str, Any], saved: Callable[[], None]) -> None:
        write(self._directory, step, copy, meta, self._keep, self._every)
        saved()
