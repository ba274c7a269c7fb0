"""What a worker of the search does: evaluate, write the row to its own journal, and only then report it."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gtn_hpc.core.records import Score
from gtn_hpc.scores.journal import Journal
from gtn_hpc.scores.rows import CertificateRow
from gtn_hpc.training.request import Request
from gtn_hpc.training.setting import Setting


@dataclass(frozen=True)
class Scoring:
    """Scores requests under `setting` and appends each row to a journal of this worker in the directory `journals`."""

    setting: Setting
    journals: Path
    job: str

    @contextmanager
    def open(self, rank: int) -> Iterator[Callable[[Request], Score]]:
        """Loads images and curriculum; a row is on disk before its score is given back."""
        from gtn_hpc.cluster.device import choose
        from gtn_hpc.cluster.environment import detect
        from gtn_hpc.training.evaluator import Evaluator

        device = choose(self.setting.config.run.device, detect())
        evaluator, host = Evaluator(self.setting, str(device)), socket.gethostname()
        evaluator.prepare()
        with Journal(self.journals, self.job, rank) as journal:

            def score(request: Request) -> Score:
                found = replace(evaluator.evaluate(request), rank=rank, host=host, job=self.job)
                journal.append([found if request.source == "curriculum" else truth_of(found)])
                return found

            yield score


def truth_of(score: Score) -> CertificateRow:
    """A score on real data as a row of the certificate."""
    return CertificateRow(
        key=score.key,
        arch=score.arch,
        source="truth",
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
