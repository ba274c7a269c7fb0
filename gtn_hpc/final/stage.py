"""The final stage: the best architectures of a search are trained on real data and tested once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gtn_hpc.config import Config
from gtn_hpc.core import environment
from gtn_hpc.core.errors import RunError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.farm import InProcess, results
from gtn_hpc.final.winner import Winner, key_of
from gtn_hpc.final.work import Finishing
from gtn_hpc.scores.folding import fold
from gtn_hpc.scores.replay import Journals, read_journals
from gtn_hpc.scores.rows import FinalRow
from gtn_hpc.training.estimates import architectures_of, estimates, ranked


@dataclass(frozen=True)
class Watch:
    """What is told while winners are trained: each epoch (winner, epochs done, validation accuracy), each row.

    `stop` is asked after every epoch; then a checkpoint is written and `Requeue` raised.
    """

    epoch: Callable[[Winner, int, float], None] = lambda *_: None
    row: Callable[[FinalRow], None] = lambda _: None
    stop: Callable[[], object] = lambda: False


def run_final(config: Config, run: RunDirectory, watch: Watch = Watch()) -> list[FinalRow]:
    """Rows of the `final.top_k` best architectures of `run`, in the order of their estimates.

    What was trained before is not trained again; a training that was cut off goes on from its checkpoint.

    Raises:
        RunError: the run has no scored architectures.
        ConfigError: the recipe asks for what networks of the space do not have.
        Requeue: `watch.stop` said so.
    """
    before = read_journals(run.journal)
    rows = {row.key: row for row in before.finals}
    winners = top(before, config.final.top_k, run)
    missing = [winner for winner in winners if key_of(config, winner.arch) not in rows]
    job = environment.describe()["slurm"].get("SLURM_JOB_ID", "local")
    work = Finishing(config, run.path / "final", run.journal, f"{job}-final", watch.epoch, watch.stop)
    try:
        if missing:
            with InProcess(work) as pool:
                for row in results(pool, missing):
                    rows[row.key] = row
                    watch.row(row)
    finally:
        fold(run)
    return [rows[key_of(config, winner.arch)] for winner in winners]


def top(journals: Journals, count: int, run: RunDirectory) -> Sequence[Winner]:
    """The `count` best architectures by their estimate, or as many as there are."""
    found, architectures = estimates(journals.scores), architectures_of(journals)
    if not found:
        raise RunError(
            f"The run '{run.name}' has no scored architecture to train.",
            remedy="Score some first: gtn search CONFIG.",
        )
    best = enumerate(ranked(found)[:count], start=1)
    return [Winner(architectures[arch], place, found[arch]) for place, arch in best]
