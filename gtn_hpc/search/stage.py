"""The search stage from a configuration to scores.h5."""

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gtn_hpc.cluster.deadline import Deadline, deadline_of
from gtn_hpc.config import Config
from gtn_hpc.config.claim import claim
from gtn_hpc.core.environment import job
from gtn_hpc.core.errors import Requeue, RunError
from gtn_hpc.core.records import Score
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.core.status import status_told
from gtn_hpc.farm import Pool
from gtn_hpc.scores.folding import FoldReport, Throttle, fold_and_tell
from gtn_hpc.scores.journal import Journal
from gtn_hpc.scores.replay import Journals, distinct, read_journals
from gtn_hpc.search.algorithm import Outcome
from gtn_hpc.search.algorithms import make_algorithm
from gtn_hpc.search.backlog import Backlog
from gtn_hpc.search.belonging import require_own
from gtn_hpc.search.certificate import Certificate, Rival, certify, compare, truths_of
from gtn_hpc.search.certifying import Certifying
from gtn_hpc.search.ledger import JournalLedger, events
from gtn_hpc.search.lengthening import lengthening
from gtn_hpc.search.lock import sole_manager
from gtn_hpc.search.loop import search
from gtn_hpc.search.pools import open_pool, setting_of
from gtn_hpc.search.rivals import rivals_of
from gtn_hpc.search.study import Study, Terms
from gtn_hpc.search.trust import doubt as doubt_of
from gtn_hpc.search.trust import duties
from gtn_hpc.search.watch import SILENT, Watch
from gtn_hpc.training.estimates import estimates, ranked
from gtn_hpc.training.request import Request
from gtn_hpc.training.setting import Setting

AHEAD = 32
"""Evaluations a worker that wait in front of it, of which the longest is begun first."""


@dataclass(frozen=True)
class SearchReport:
    """`architectures` distinct ones scored, how many rows have which status, estimates from the best down, the
    correlation with real data (`certificate`, over `certified` architectures), other ways to rank, the last fold."""

    architectures: int
    statuses: Mapping[str, int]
    best: tuple[tuple[str, float], ...]
    certified: int
    certificate: Certificate
    rivals: tuple[Rival, ...]
    folded: FoldReport


def run_search(config: Config, run: RunDirectory, curriculum: Path, watch: Watch = SILENT) -> SearchReport:
    """Scores architectures until `search.budget` distinct ones are done, and trains the certificate's sample.

    `run` is the directory of `config`. Goes on from what its journals hold; scores.h5 is folded on the way and at the
    end.

    Raises:
        StorageError, DataError: curriculum or images are missing or do not fit each other.
        RunError: the run or its journals belong to another search, another process searches in `run`, or the policy
            of the certificate is to stop, and the ranking is not to be trusted.
        SpaceExhausted: the space is smaller than the budget.
        Requeue: `watch.stop` said so, or nothing that is left would end before the deadline; a new start goes on.
    """
    setting, deadline = setting_of(config, run, curriculum), deadline_of(config.run, os.environ)
    with sole_manager(run):
        claim(config, "search").update_state("search", wants_requeue=False, done=False, budget=config.search.budget)
        with status_told(run, "search"):
            return _searched(config, run, setting, watch, deadline)


def _searched(
    config: Config, run: RunDirectory, setting: Setting, watch: Watch, deadline: Deadline | None
) -> SearchReport:
    try:
        with open_pool(setting, run) as pool, Journal(run.journal, f"{job()}-manager") as journal:
            doubt = _score(config, run, setting, pool, journal, watch, deadline)
    finally:
        folded = fold_and_tell(run, watch.warning)
    if watch.stop():
        raise Requeue("The search was stopped.", remedy="Start it again: it goes on where it was.")
    if doubt is not None:
        raise doubt
    report = _report(config, read_journals(run.journal), folded)
    told = report.certificate.to_json() | {"beside": [rival.to_json() for rival in report.rivals]}
    section, text = config.search.certificate, None
    if report.certified >= max(1, section.minimum) and not report.certificate.trusted(section.floor):
        text = doubt_of(report.certificate, section.floor)
    run.update_state("search", architectures=report.architectures, certificate=told, doubt=text, done=True)
    shutil.rmtree(run.states, ignore_errors=True)  # a larger budget teaches whom it promotes from the start
    return report


def _score(
    config: Config,
    run: RunDirectory,
    setting: Setting,
    pool: Pool[Request, Score],
    journal: Journal,
    watch: Watch,
    deadline: Deadline | None,
) -> RunError | None:
    """Why the certificate ended the search, or None."""
    section = config.search
    before = read_journals(run.journal)
    require_own(before, setting, run)
    run.update_state("search", curriculum=setting.digest)
    fold_now_and_then = Throttle()

    def told(outcome: Outcome) -> None:
        certifying.outcome(outcome)
        watch.outcome(outcome)
        fold_now_and_then(lambda: fold_and_tell(run, watch.warning, wait=False))

    backlog = Backlog(setting.space, deadline)
    algorithm = lengthening(make_algorithm(config, setting.space, setting.last_step), config, setting, before.asks)
    duty = duties(config, run, setting, algorithm, watch)
    certifying = Certifying(config, setting.identity, before, duty, backlog, Backlog(setting.space, deadline))
    study = Study(
        algorithm,
        setting.identity,
        JournalLedger(journal, setting.space, before),
        Terms(section.budget, section.replicas),
        watch=told,
        stop=watch.stop,
        backlog=backlog,
        ahead=AHEAD * pool.workers,
    )
    watch.begun(before)
    study.replay(distinct(before.scores), events(before))
    search(certifying.over(study), pool)
    if not watch.stop():
        certifying.require_begun()
    return duty.doubt if certifying.ended else None


def _report(config: Config, journals: Journals, folded: FoldReport) -> SearchReport:
    rows = distinct(journals.scores)
    found, steps = estimates(rows), config.search.certificate.steps
    truths = truths_of(journals.certificates, steps)
    return SearchReport(
        architectures=len({score.arch for score in rows}),
        statuses=Counter(score.status for score in rows),
        best=tuple((arch, found[arch]) for arch in ranked(found)),
        certified=len(truths),
        certificate=certify(found, truths, steps, config.run.seed),
        rivals=tuple(compare(found, truths, rivals_of(journals), config.run.seed)) if truths else (),
        folded=folded,
    )
