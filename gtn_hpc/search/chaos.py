"""Failures on demand, to see that a search survives them: `KIND:rank=R@eval=N`."""

import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gtn_hpc.core.errors import NonFiniteError, StorageError
from gtn_hpc.scores.journal import Journal

IN_TRAINING = ("kill", "hang", "nan", "oom", "segfault")
IN_WRITING = ("disk", "torn")


@dataclass
class Chaos:
    """Strikes at evaluation `evaluation` (from 1) of a process of rank `rank`, once in the life of `marker`."""

    kind: str
    rank: int
    evaluation: int
    marker: Path
    done: int = 0

    @classmethod
    def parse(cls, text: str | None, directory: Path) -> "Chaos | None":
        """Of `search.chaos`, whose form the configuration has checked; marks its strike in `directory`."""
        match = re.fullmatch(r"(\w+):rank=(\d+)@eval=(\d+)", text or "")
        if match is None:
            return None
        kind, rank, evaluation = match.groups()
        return cls(kind, int(rank), int(evaluation), directory / f"chaos-{kind}-{rank}-{evaluation}")

    def before_training(self, rank: int) -> None:
        """Called inside an evaluation."""
        if self.kind in IN_TRAINING and self._strikes(rank):
            STRIKES[self.kind]()

    def before_writing(self, rank: int, journal: Journal) -> None:
        """Called with a row that is not on disk yet.

        Raises:
            StorageError: as a full disk does.
        """
        if self.kind not in IN_WRITING or not self._strikes(rank):
            return
        if self.kind == "disk":
            raise StorageError(
                f"{journal.path} cannot be written: no space left (search.chaos).", remedy="Start again."
            )
        with open(journal.path, "ab") as file:
            file.write(b'{"crc":"00000000","row":{"kind":"score","key":"to')
        kill()

    def _strikes(self, rank: int) -> bool:
        self.done += 1
        if (rank, self.done) != (self.rank, self.evaluation):
            return False
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def hang() -> None:
    while True:
        time.sleep(1)


def diverge() -> None:
    raise NonFiniteError("The loss is NaN (search.chaos).")


def exhaust() -> None:
    """Takes memory until there is none, by a limit or a watchdog."""
    held = []
    while True:
        held.append(np.ones(1 << 20))


STRIKES: dict[str, Callable[[], None]] = {
    "kill": kill,
    "hang": hang,
    "nan": diverge,
    "oom": exhaust,
    "segfault": segfault,
}
