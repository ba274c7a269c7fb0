"""Checkpoints of a run: when, by whom, and how all ranks come back to one."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from gtn_hpc import checkpoint
from gtn_hpc.checkpoint import BackgroundSaver
from gtn_hpc.cluster.communicator import Communicator
from gtn_hpc.config import Config, dump
from gtn_hpc.config.claim import require_own
from gtn_hpc.core.errors import CheckpointError, GtnError, NonFiniteError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.meta.events import Suspect
from gtn_hpc.meta.outer import Outer
from gtn_hpc.meta.place import Place

Result = TypeVar("Result")


@dataclass(eq=False)
class Checkpoints:
    """Rank 0 reads and writes; the others get what it read, so that only its disk counts."""

    config: Config
    run: RunDirectory
    outer: Outer
    communicator: Communicator
    report: Callable[[str], None]
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._saver = BackgroundSaver(self.run.checkpoints, self.config.meta.keep, self.config.meta.checkpoint_every)

    def resume(self, begin: Callable[[], None]) -> Place:
        """The newest whole checkpoint on all ranks; where there is none, the beginning, which is saved as one.

        Raises:
            CheckpointError: one cannot be read, or there are some, all of them damaged.
        """
        place = self._common()
        if place is not None:
            return place
        begin()
        self._share()
        if self.communicator.rank == 0:
            self.save(Place())
        return Place()

    def go_back(self, diverged: Place) -> Place:
        """To the last checkpoint that `meta.checkpoint_every` made, with fresh random streams.

        One that a stop or the clock made does not count: a run that was stopped ends with the bits of one that was not.

        Raises:
            NonFiniteError: the run went back `meta.max_returns` times already.
        """
        meta = self.config.meta
        if diverged.generation >= meta.max_returns:
            raise NonFiniteError(
                f"The meta-gradient was not finite in {diverged.refused} meta-iterations in a row, the last "
                f"{diverged.done}, after {diverged.generation} returns to a checkpoint.",
                remedy="Lower inner.lr or meta.lr, set meta.clip, or look with gtn check-grad --replay.",
            )
        place = self._common(meta.checkpoint_every) or self._common()
        if place is None:
            raise CheckpointError(
                f"There is no whole checkpoint in {self.run.checkpoints} to go back to.",
                remedy="Bring one back there, or begin anew under another run.name.",
            )
        if self.communicator.rank == 0:
            checkpoint.remove_after(self.run.checkpoints, place.done)
        return Place(place.done, 0, diverged.generation + 1)

    def keep_refused(self, place: Place, suspects: Sequence[Suspect]) -> Path:
        """The teacher of a refused meta-iteration, for `gtn check-grad --replay`; the last `meta.keep` stay."""
        directory = self.run.refused
        if self.communicator.rank == 0:
            told = {"config": dump(self.config), "place": place.to_json(), "replicas": [asdict(s) for s in suspects]}
            checkpoint.save(directory, place.done, self.outer.state(), told, self.config.meta.keep)
        return checkpoint.step_directory(directory, place.done)

    def due(self, place: Place) -> bool:
        """Asked on rank 0. Among refusals nothing is saved: it would only be gone back to."""
        meta = self.config.meta
        minutes = (time.monotonic() - self._began) / 60
        return place.refused == 0 and (place.done % meta.checkpoint_every == 0 or minutes >= meta.checkpoint_minutes)

    def save(self, place: Place, *, wants_requeue: bool = False) -> None:
        """In the background; then `state.json` says how far the run is.

        Among refusals only a stop saves, and not where a regular checkpoint would be: what `go_back` goes back to stays
        what it is in a run that was not stopped.
        """
        regular = place.done % self.config.meta.checkpoint_every == 0
        if place.refused and (regular or not wants_requeue):
            self.wait()
            self.run.update_state("train", wants_requeue=wants_requeue or None)
            return
        self._began = time.monotonic()
        meta = {"config": dump(self.config), "place": place.to_json()}
        self._saver.save(place.done, self.outer.state(), meta, lambda: self._tell(place, wants_requeue=wants_requeue))

    def wait(self) -> None:
        self._saver.wait()

    def _tell(self, place: Place, *, wants_requeue: bool = False) -> None:
        """A checkpoint takes no wish back: a signal may have come since it was begun."""
        self.run.update_state("train", wants_requeue=wants_requeue or None, iteration=place.done)

    def _common(self, every: int = 1) -> Place | None:
        """What rank 0 finds, on all ranks."""
        place = first_does(self.communicator, lambda: self._load(every))
        if place is not None:
            self._share()
        return place

    def _share(self) -> None:
        self.communicator.broadcast(list(self.outer.named().values()))

    def _load(self, every: int) -> Place | None:
        self.wait()
        found = checkpoint.latest(self.run.checkpoints, self.report, every)
        if found is None:
            if every == 1:
                self._require_none()
            return None
        require_own(self.run, self.config, found.meta["config"], f"The configuration in {found.path}")
        self.outer.restore(dict(found.tensors))
        self._tell(place := Place(**found.meta["place"]))
        return place

    def _require_none(self) -> None:
        """What was taught must not be begun anew without a word."""
        if any(self.run.checkpoints.glob("step-*")):
            raise CheckpointError(
                f"None of the checkpoints in {self.run.checkpoints} is whole.",
                remedy="Bring a whole one back there. To begin anew, remove them or take another run.name.",
            )


def first_does(communicator: Communicator, action: Callable[[], Result]) -> Result:
    """Rank 0 acts and all get its result, or its error."""
    told: list[Result | GtnError | None] = [None]
    if communicator.rank == 0:
        try:
            told = [action()]
        except GtnError as error:
            told = [error]
    outcome = communicator.all_gather(told[0])[0]
    if isinstance(outcome, GtnError):
        raise outcome
    return outcome  # type: ignore[return-value]
