"""What a worker of the search does: evaluate, write the row to its own journal, and only then report it."""

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gtn_hpc.cluster.environment import detect
from gtn_hpc.cluster.seat import Seat, seat_under_manager
from gtn_hpc.core.records import Score
from gtn_hpc.farm.child import Bounds, ChildDied, Nursery
from gtn_hpc.farm.isolation import Isolated
from gtn_hpc.farm.memory import fair_share
from gtn_hpc.scores.journal import Journal
from gtn_hpc.scores.rows import CertificateRow
from gtn_hpc.search.chaos import Chaos
from gtn_hpc.training.request import Request, Source
from gtn_hpc.training.setting import Setting

MODULES = ("gtn_hpc.training.evaluator",)
"""What a nursery imports before it forks evaluating children."""


@dataclass(frozen=True)
class Evaluating:
    """Evaluates requests in the process that opens it, on the device of the worker at `seat`."""

    setting: Setting
    seat: Seat
    journals: Path

    @contextmanager
    def open(self, rank: int) -> Iterator[Callable[[Request], Score]]:
        """Loads images and curriculum; workers of one GPU each get an equal part of its memory."""
        from gtn_hpc.cluster.device import choose_shared, enter, share_memory
        from gtn_hpc.training.evaluator import Evaluator

        asked = self.setting.config.run.device
        device = enter(choose_shared(asked, self.seat))
        share_memory(device, asked, self.seat)
        evaluator = Evaluator(self.setting, str(device))
        if chaos := Chaos.parse(self.setting.config.search.chaos, self.journals):
            evaluator = replace(evaluator, before=lambda: chaos.before_training(rank))
        evaluator.prepare()
        yield evaluator.evaluate


@dataclass(frozen=True)
class Scoring:
    """Scores requests under `setting` and appends each row to a journal of this worker in the directory `journals`.

    With `search.isolate` in a child of `nursery`, which the workers of one process share; without one a worker makes
    its own. `managed`: it is the one worker of its rank, and rank 0 only asks.
    """

    setting: Setting
    journals: Path
    job: str
    nursery: Nursery | None = None
    managed: bool = False

    @contextmanager
    def open(self, rank: int) -> Iterator[Callable[[Request], Score]]:
        """A row is on disk before its score is given back."""
        host = socket.gethostname()
        with ExitStack() as opened:
            evaluate = opened.enter_context(self._evaluation(rank, opened))
            journal = opened.enter_context(Journal(self.journals, self.job, rank))
            chaos = Chaos.parse(self.setting.config.search.chaos, self.journals)

            def score(request: Request) -> Score:
                found = replace(evaluate(request), rank=rank, host=host, job=self.job)
                if chaos is not None:
                    chaos.before_writing(rank, journal)
                journal.append([found if request.source == "curriculum" else evidence(found, request.source)])
                return found

            yield score

    def _evaluation(self, rank: int, opened: ExitStack) -> AbstractContextManager[Callable[[Request], Score]]:
        seat = self._seat(rank)
        evaluating = Evaluating(self.setting, seat, self.journals)
        if not self.setting.config.search.isolated:
            return evaluating.open(rank)
        nursery = self.nursery or opened.enter_context(Nursery(MODULES))
        return Isolated(evaluating, nursery, self._verdict, self._bounds(seat), lambda task: task.again).open(rank)

    def _seat(self, rank: int) -> Seat:
        environment, workers = detect(), self.setting.config.search.workers
        if self.managed:
            return seat_under_manager(environment)
        return Seat(environment.local_rank, environment.local_world, rank % workers, workers)

    def _bounds(self, seat: Seat) -> Bounds:
        limits = self.setting.config.search.limits
        return Bounds(limits.seconds, limits.bytes or fair_share(seat.total))

    def _verdict(self, request: Request, death: ChildDied) -> Score:
        blank = self.setting.blank(request)
        return replace(blank, status=death.status, detail=death.detail, seconds=death.seconds)


def evidence(score: Score, source: Source) -> CertificateRow:
    """What the teacher's estimates are compared with, as a row of the certificate."""
    return CertificateRow(
        key=score.key,
        arch=score.arch,
        source="truth" if source == "real" else source,
        replica=score.replica,
        steps=score.fidelity,
        val_accuracy=score.val_accuracy,
        val_loss=score.val_loss,
        status=score.status,
        seconds=score.seconds,
        peak_bytes=score.peak_bytes,
        params=score.params,
        flops=score.flops,
        rank=score.rank,
        host=score.host,
        job=score.job,
        time=score.time,
        curve=score.curve,
        extra=score.extra,
        detail=score.detail,
    )
