"""Claims by which independent jobs share one directory of work without a server: files, and their times."""

import math
import os
import re
import threading
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from gtn_hpc.core.errors import StorageError


class Claims:
    """What this job has taken of the work in `directory`; a claim without a heartbeat for `expiry` seconds lapses.

    A claim is the file `<name>.<generation>`, made exclusively. Whoever finds it lapsed makes the next generation, and
    that only one can; nothing is ever renamed or deleted, so a slow thief cannot take what was just taken. A job that
    was merely stopped goes on with work that another has taken over: the work is done twice, which its rows bear.
    Ages are differences between times of files. Where clients give these (Lustre), the hosts' clocks have to agree to
    within half of `expiry`; where the server does (NFS), they may disagree. A claim that was found alive is not
    looked at again before it can have lapsed.
    """

    def __init__(self, directory: Path, expiry: float) -> None:
        self._directory, self._expiry = directory, expiry
        self._probe = directory / f"clock-{uuid.uuid4().hex[:12]}"
        self._held: dict[str, Path] = {}
        self._alive: dict[str, float] = {}
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="claims-heartbeat", daemon=True)

    def take(self, name: str) -> bool:
        """Whether this job got the work `name`: it was free, or its claim had lapsed. Cost: two or three small files,
        none where another's was alive before.

        Raises:
            StorageError: the directory cannot be written.
        """
        if name in self._held or time.monotonic() < self._alive.get(name, -math.inf):
            return False
        last = self._last_generation(name)
        if last is not None and (age := self._age(self._path(name, last))) < self._expiry:
            self._alive[name] = time.monotonic() + self._expiry - age
            return False
        path = self._path(name, 0 if last is None else last + 1)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError:
            return False
        except OSError as error:
            raise StorageError(
                f"{path} cannot be made: {error.strerror}.", remedy="Look for free space and write permission."
            ) from error
        self._held[name] = path
        return True

    def finish(self, names: Iterable[str]) -> None:
        """The work `names` is done and on disk: its claims need no heartbeat."""
        for name in names:
            self._held.pop(name, None)
            self._alive.pop(name, None)

    def taken_over(self, name: str) -> bool:
        """Whether another job had the work `name` before this one, which holds it."""
        return self._held[name] != self._path(name, 0)

    def _last_generation(self, name: str) -> int | None:
        """Generations have no gaps: each is made by one who saw the one before."""
        generation = 0
        while self._path(name, generation).exists():
            generation += 1
        return generation - 1 if generation else None

    def _path(self, name: str, generation: int) -> Path:
        assert re.fullmatch(r"\w+", name), name
        return self._directory / f"{name}.{generation}"

    def _age(self, path: Path) -> float:
        self._probe.touch()
        return self._probe.stat().st_mtime - path.stat().st_mtime

    def _beat(self) -> None:
        while not self._ended.wait(self._expiry / 4):
            for path in list(self._held.values()):
                with suppress(OSError):  # one that lapses is done twice; the others must not
                    os.utime(path)

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What was not finished lapses for others after `expiry`."""
        self._ended.set()
        self._heart.join()
        self._probe.unlink(missing_ok=True)
