"""Where winners are trained."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from gtn_hpc.cluster.environment import RankEnvironment, detect
from gtn_hpc.config import Config
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.farm import InProcess, Pool, Threads, mpi
from gtn_hpc.farm.child import Nursery
from gtn_hpc.final.winner import Winner
from gtn_hpc.final.work import MODULES, Finishing, Found


@contextmanager
def open_pool(config: Config, run: RunDirectory, winners: int) -> Iterator[Pool[Winner, Found]]:
    """The ranks of mpiexec where there are several, else `search.workers` of this process, as many as have work."""
    ranks = ranks_of()
    if ranks is not None:
        with mpi.Ranks[Winner, Found](ranks) as ranked:
            yield ranked
        return
    workers = max(1, min(config.search.workers, winners))
    with ExitStack() as opened:
        nursery = opened.enter_context(Nursery(MODULES)) if workers > 1 else None
        work = Finishing(config, run, workers, nursery)
        pool = Threads(work, workers) if workers > 1 else InProcess(work)
        yield opened.enter_context(pool)


def ranks_of() -> RankEnvironment | None:
    """The ranks of this job, None where this is its only process."""
    found = detect()
    return found if found.world > 1 else None


def assist(config: Config, run: RunDirectory) -> None:
    """What every rank but the first does: it trains what rank 0 asks for, until that has ended."""
    ranks = ranks_of()
    assert ranks is not None, "only ranks assist"
    mpi.serve(Finishing(config, run, managed=True), ranks)
