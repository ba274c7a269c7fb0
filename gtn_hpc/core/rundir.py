"""The run directory: where every file of a run lies, and `state.json`."""

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gtn_hpc.core import atomic
from gtn_hpc.core.environment import job
from gtn_hpc.core.errors import RunError, StorageError
from gtn_hpc.core.lock import open_lock

SCHEMA = 1

_held = threading.local()


@dataclass(frozen=True)
class RunDirectory:
    """Paths below `<root>/<name>`; nothing is created before `create`."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def state(self) -> Path:
        return self.path / "state.json"

    @property
    def events(self) -> Path:
        return self.path / "events"

    @property
    def training_events(self) -> Path:
        """What the first rank of meta-training logs."""
        return self.events / "train.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def curriculum(self) -> Path:
        return self.path / "curriculum.h5"

    @property
    def refused(self) -> Path:
        """Teachers whose meta-gradient was not finite."""
        return self.path / "refused"

    @property
    def evaluations(self) -> Path:
        return self.path / "evaluations"

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    @property
    def fold_lock(self) -> Path:
        return self.journal / "fold.lock"

    @property
    def scores(self) -> Path:
        return self.path / "scores.h5"

    @property
    def states(self) -> Path:
        """Learners that successive halving may go on teaching."""
        return self.path / "states"

    @property
    def final(self) -> Path:
        """Checkpoints of winners in training."""
        return self.path / "final"

    @property
    def winners(self) -> Path:
        """Trained networks of winners."""
        return self.path / "winners"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def slurm(self) -> Path:
        return self.path / "slurm"

    def create(self) -> None:
        """Makes the directory and proves that it can be written to."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise RunError(
                f"The run directory {self.path} cannot be written: {error.strerror}.",
                remedy="Choose another place with run.root=DIRECTORY, or mend its permissions.",
            ) from error

    def read_state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads(self.state.read_text())
        except FileNotFoundError:
            return {"schema": SCHEMA, "wants_requeue": False, "stages": {}}
        except json.JSONDecodeError as error:
            raise RunError(f"{self.state} is not JSON: {error}.", remedy="Remove the file; it is made anew.") from error
        return state

    def update_state(self, stage: str, *, wants_requeue: bool | None = None, **values: Any) -> None:
        """Writes what `stage` (train, search, final) has reached and, unless None, whether this job wants a requeue.

        Processes of several jobs may call it at once: none loses what another has written.
        """
        with self.changing() as state:
            state["stages"].setdefault(stage, {}).update(values, updated=time.time())
            if wants_requeue is not None:
                state.update(wants_requeue=wants_requeue, job=job())

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """What `state.json` says, to be changed by this process alone; written unless an error ends the block.

        A signal's handler that interrupts such a block changes what the block will write.
        """
        if (interrupted := getattr(_held, "state", None)) is not None:
            yield interrupted
            _held.again = True
            return
        with self.alone():
            state = self._hold_state()
            try:
                yield state
                atomic.write_json(self.state, state)
            finally:
                _held.state = None
            if _held.again:
                atomic.write_json(self.state, state)
            _held.wrote = True

    def _hold_state(self) -> dict[str, Any]:
        """Read once more where a signal's handler wrote between the reading and the holding."""
        _held.again = _held.wrote = False
        state = _held.state = self.read_state()
        if _held.wrote:
            state = _held.state = self.read_state()
        return state

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the lock of files that processes of several jobs change: `state.json` and `slurm/jobs.jsonl`.

        A signal's handler that has interrupted the holder goes on without.
        """
        if getattr(_held, "here", False):
            yield
            return
        self.path.mkdir(parents=True, exist_ok=True)
        _held.here = True
        try:
            with open_lock(self.path / ".state.lock") as file:
                with suppress(OSError):  # a file system without flock carries a run of one job, which needs none
                    fcntl.flock(file, fcntl.LOCK_EX)
                yield
        finally:
            _held.here = False


def require_foreign(path: Path) -> None:
    """Passes where `path` is not one of the files and folders that make up a run, nor in one of them.

    Raises:
        StorageError: it is: a stage writes it, and nothing else may.
    """
    place = path.parent.resolve() / path.name
    for above in place.parents:
        if place.relative_to(above).parts[0] in _own_names() and _is_run(RunDirectory(above)):
            raise StorageError(f"{path} belongs to a run.", remedy="Give the file another name.")


def _own_names() -> set[str]:
    """What lies directly in a run directory, by name."""
    run = RunDirectory(Path("run"))
    places = (getattr(run, name) for name, value in vars(RunDirectory).items() if isinstance(value, property))
    return {place.relative_to(run.path).parts[0] for place in places if isinstance(place, Path)}


def _is_run(run: RunDirectory) -> bool:
    """Whether a stage has been at work: a config.yaml alone may be anybody's."""
    return (run.config.is_file() and run.state.is_file()) or any(run.journal.glob("*.jsonl"))


def find(run: str | Path, root: str | Path = "runs") -> RunDirectory:
    """A run by its path, or by its name under `root`."""
    candidates = [Path(run), Path(root) / run]
    for path in candidates:
        if (path / "config.yaml").is_file():
            return RunDirectory(path)
    looked = " and ".join(str(path) for path in candidates)
    raise RunError(
        f"There is no run '{run}': looked for config.yaml in {looked}.",
        remedy="Name a run directory, or the name of one under run.root (default: runs/).",
    )
