"""The final stage: the best architectures of a search are trained on real data and tested once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass

from gtn_hpc.config import Config
from gtn_hpc.config.claim import claim
from gtn_hpc.core.errors import Requeue, RunError
from gtn_hpc.core.lock import PATIENCE, sole
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.core.status import status_told
from gtn_hpc.farm import Pool
from gtn_hpc.final.pools import open_pool, ranks_of
from gtn_hpc.final.winner import Winner, key_of
from gtn_hpc.final.work import Found
from gtn_hpc.scores.folding import fold_and_tell
from gtn_hpc.scores.replay import Journals, distinct, read_journals
from gtn_hpc.scores.rows import FinalRow
from gtn_hpc.training.estimates import architectures_of, estimates, ranked


@dataclass(frozen=True)
class Watch:
    """Called with the number of winners that earlier starts trained, each stretch of a training (winner, epochs done,
    validation accuracy), each row, and what is wrong with scores.h5; nothing by default.

    `stop` is asked before every stretch.
    """

    begun: Callable[[int], None] = lambda _: None
    epoch: Callable[[Winner, int, float], None] = lambda *_: None
    row: Callable[[FinalRow], None] = lambda _: None
    stop: Callable[[], object] = lambda: False
    warning: Callable[[str], None] = lambda _: None


def run_final(config: Config, run: RunDirectory, watch: Watch = Watch()) -> list[FinalRow]:
    """Rows of the `final.top_k` best architectures of `run`, the directory of `config`, by their estimates.

    What was trained before is not trained again; a training that was cut off goes on from its checkpoint. Several are
    trained at a time, by `search.workers` or by the other ranks of mpiexec; how many changes no result.

    Raises:
        RunError: the run has no scored architectures or belongs to another configuration, or another process trains
            its winners.
        ConfigError: the recipe asks for what networks of the space do not have.
        Requeue: `watch.stop` said so; what was trained is saved.
    """
    run.create()
    with sole(run.path / "final.lock", f"training winners in {run.path}", patience=PATIENCE, required=False):
        claim(config, "final").update_state("final", wants_requeue=False, done=False)
        with status_told(run, "final"):
            return _train_top(config, run, watch)


def _train_top(config: Config, run: RunDirectory, watch: Watch) -> list[FinalRow]:
    before = read_journals(run.journal)
    rows = {row.key: row for row in distinct(before.finals)}
    winners = {key_of(config, winner.arch): winner for winner in top(before, config.final.top_k, run)}
    missing = {key: winner for key, winner in winners.items() if key not in rows}
    watch.begun(len(winners) - len(missing))
    try:
        if missing or ranks_of() is not None:  # the other ranks wait for a pool
            with open_pool(config, run, len(missing)) as pool:
                rows.update((row.key, row) for row in _train(pool, missing, watch))
    finally:
        fold_and_tell(run, watch.warning)
        run.update_state("final", places=_places(before, rows.values()))
    return [rows[key] for key in winners]


def _places(journals: Journals, trained: Iterable[FinalRow]) -> dict[str, int]:
    """The present places by estimate, from 1, of architectures that were trained at any time."""
    archs = {row.arch for row in trained}
    best = enumerate(ranked(estimates(journals.scores)), start=1)
    return {arch: place for place, arch in best if arch in archs}


def _train(pool: Pool[Winner, Found], winners: Mapping[str, Winner], watch: Watch) -> Iterator[FinalRow]:
    """Their rows as they come; a winner that is begun is gone on with before the next one is begun.

    Raises:
        Requeue: `watch.stop` said so before the last row.
    """
    waiting, running, done = deque(winners.values()), dict[Future[Found], Winner](), 0
    while waiting or running:
        while waiting and len(running) < pool.workers and not watch.stop():
            winner = waiting.popleft()
            running[pool.submit(winner)] = winner
        if not running:
            raise Requeue(
                f"Stopped with {done} of {len(winners)} winners trained.",
                remedy="Start it again: it goes on where it was.",
            )
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            winner, found = running.pop(future), future.result()
            if isinstance(found, FinalRow):
                done += 1
                if found.epochs:
                    watch.epoch(winner, found.epochs, found.curve[found.epochs])
                watch.row(found)
                yield found
            else:
                watch.epoch(winner, found.epochs, found.accuracy)
                waiting.appendleft(winner)


def top(journals: Journals, count: int, run: RunDirectory) -> Sequence[Winner]:
    """The `count` best architectures by their estimate, or as many as there are."""
    found, architectures = estimates(journals.scores), architectures_of(journals)
    if not found:
        raise RunError(
            f"The run '{run.name}' has no scored architecture to train.",
            remedy="Score some first: gtn search CONFIG.",
        )
    if unknown := [arch for arch in ranked(found)[:count] if arch not in architectures]:
        raise RunError(
            f"The journals of the run '{run.name}' hold scores of {unknown[0]}, but not yet what it is.",
            remedy="Its first shard writes that down: run it (search.shard=0/N), or gtn search CONFIG without shards.",
        )
    best = enumerate(ranked(found)[:count], start=1)
    return [Winner(architectures[arch], place, found[arch]) for place, arch in best]
