"""Where a search's evaluations run."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gtn_hpc.cluster.environment import RankEnvironment, detect
from gtn_hpc.config import Config
from gtn_hpc.config.searching import SuccessiveHalving
from gtn_hpc.core import environment
from gtn_hpc.core.errors import UsageError
from gtn_hpc.core.records import Score
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.farm import InProcess, Pool, Threads, mpi
from gtn_hpc.farm.child import Nursery
from gtn_hpc.search.work import MODULES, Scoring
from gtn_hpc.training.header import read_header
from gtn_hpc.training.request import Request
from gtn_hpc.training.setting import Setting


def setting_of(config: Config, run: RunDirectory, curriculum: Path) -> Setting:
    """What all evaluations of the search have in common.

    Raises:
        StorageError: the curriculum cannot be read.
        ConfigError: steps are asked for that no training comes to.
    """
    states = run.states if isinstance(config.search.algorithm, SuccessiveHalving) else None
    setting = Setting(config, curriculum, read_header(curriculum, config.inner), states)
    setting.require_steps()
    return setting


@contextmanager
def open_pool(setting: Setting, run: RunDirectory) -> Iterator[Pool[Request, Score]]:
    """The pool of `search.pool`, ready for work.

    Raises:
        UsageError: this is not the first of several ranks, or there are too few of them.
    """
    ranks = ranks_of(setting.config)
    if ranks is not None:
        with mpi.Ranks[Request, Score](ranks) as ranked:
            yield ranked
        return
    with open_local_pool(setting, run) as pool:
        yield pool


@contextmanager
def open_local_pool(setting: Setting, run: RunDirectory, rank: int = 0) -> Iterator[Pool[Request, Score]]:
    """`search.workers` workers of this process, numbered from `rank` x workers on."""
    section = setting.config.search
    with ExitStack() as opened:
        nursery = opened.enter_context(Nursery(MODULES)) if section.isolated else None
        work, first = Scoring(setting, run.journal, environment.job(), nursery), rank * section.workers
        pool = Threads(work, section.workers, first) if section.workers > 1 else InProcess(work, first)
        yield opened.enter_context(pool)


def ranks_of(config: Config) -> RankEnvironment | None:
    """The ranks of this job where the search runs on them, None where it runs in this process alone.

    Raises:
        UsageError: `search.pool` is mpi without ranks to work, or inprocess with several.
    """
    found, pool = detect(), config.search.pool
    if pool == "mpi" and found.world == 1:
        raise UsageError("search.pool is mpi, but this is one process.", remedy="Start it with mpiexec -n 3 or more.")
    if pool == "inprocess" and found.world > 1:
        raise UsageError(
            f"search.pool is inprocess, but {found.launcher} started {found.world} processes.",
            remedy="Leave search.pool at auto, or start it without a launcher.",
        )
    return found if found.world > 1 else None


def assist(config: Config, run: RunDirectory, curriculum: Path) -> None:
    """What every rank but the first does in a search: it evaluates what rank 0 asks for, until that has ended.

    Raises:
        StorageError, DataError: curriculum or images are missing or do not fit each other.
    """
    ranks = ranks_of(config)
    assert ranks is not None, "only ranks assist"
    mpi.serve(Scoring(setting_of(config, run, curriculum), run.journal, environment.job(), managed=True), ranks)
