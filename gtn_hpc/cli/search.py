"""`gtn search`."""

import math
import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from gtn_hpc.cli import console
from gtn_hpc.cli.failing import crashes_go_to
from gtn_hpc.cli.meter import Meter
from gtn_hpc.cli.options import ConfigFile, Json, Overrides, require_images
from gtn_hpc.cli.scored import Scored, planned, time_left
from gtn_hpc.cli.stopping import stoppable
from gtn_hpc.core.errors import ConfigError, RunError, StorageError
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.core.status import RUNNING, failure_told

if TYPE_CHECKING:
    from gtn_hpc.config import Config
    from gtn_hpc.core.records import Score
    from gtn_hpc.scores.replay import Journals
    from gtn_hpc.scores.rows import CertificateRow, Row
    from gtn_hpc.search.algorithm import Outcome
    from gtn_hpc.search.certificate import Certificate
    from gtn_hpc.search.stage import SearchReport

SHOWN = 10
"""Architectures in a table of the best."""

SHARE = 0.05
"""Of the manager's time that may go into saying how far a search is."""


def search(config: ConfigFile, overrides: Overrides = None, as_json: Json = False) -> None:
    """Score architectures with the run's curriculum, or with search.curriculum.

    A sample is trained on real data as well, for the rank correlation. Goes on by itself; a larger budget adds. Alone,
    or under mpiexec: the first rank asks, the others score.

    Example: gtn search configs/digits.yaml search.budget=200 search.curriculum=teacher.h5
    """
    from gtn_hpc.config import load
    from gtn_hpc.config.curriculum import curriculum_path
    from gtn_hpc.search.pools import assist, ranks_of

    settings = load(config, overrides or ())
    require_images(settings, "gtn search")
    if settings.search.in_parts:
        return score_part(settings, as_json=as_json)
    ranks, run = ranks_of(settings), settings.run.directory
    with crashes_go_to(run.path):
        if ranks is not None and ranks.rank > 0:
            return assist(settings, run, curriculum_path(settings, run))
        if ranks is not None and (workers := settings.search.workers) > 1:
            console.note(f"search.workers={workers} is for one process: here each rank scores one at a time.")
        report = score_all(settings, run)
    if as_json:
        console.emit(_summary(run, report))
    else:
        show(run, report)
    return _require_any(run, report)


def _require_any(run: RunDirectory, report: "SearchReport") -> None:
    """Raises RunError where no architecture got an estimate."""
    if report.best:
        return
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(report.statuses.items()))
    with failure_told(run, "search"):
        raise RunError(
            f"No architecture of the run '{run.name}' was scored to its end: {statuses or 'none was proposed'}.",
            remedy="timeout: raise search.limits.seconds; oom: search.limits.bytes; else look at gtn scores show "
            f"{run.path} --table failures. What was scored stays: a new try needs another run.name.",
        )


def score_all(settings: "Config", run: RunDirectory) -> "SearchReport":
    """The search stage under a meter."""
    from gtn_hpc.search.stage import run_search
    from gtn_hpc.search.watch import Watch

    curriculum = curriculum_for(settings, run)
    label = "scoring and certifying" if settings.search.certificate.fraction else "scoring"
    with Meter(label, settings.search.budget) as meter, stoppable(run, "search", settings) as stop:
        told = Scoring(meter, settings)
        watch = Watch(told.begun, told.outcome, told.certificate, lambda: bool(stop), console.note, told.row)
        report = run_search(settings, run, curriculum, watch)
        told.show()
        return report


def score_part(settings: "Config", *, as_json: bool) -> None:
    """What this job gets of a search that several share, or its shard; a start under a manager certifies and tells."""
    from gtn_hpc.config.claim import claim
    from gtn_hpc.search.shards import search_shard, shard_of
    from gtn_hpc.search.shared import search_shared
    from gtn_hpc.search.watch import Watch

    run, shard = settings.run.directory, shard_of(settings) if settings.search.pool == "shards" else None
    if shard is None or shard.index == 0:
        budget = settings.search.budget
        claim(settings, "search").update_state("search", budget=budget, status=RUNNING, reason=None)
    score = search_shared if shard is None else search_shard
    with crashes_go_to(run.path), stoppable(run, "search", settings) as stop:
        watch = Watch(stop=lambda: bool(stop), warning=console.note)
        scored = score(settings, run, curriculum_for(settings, run), watch)
    if as_json:
        part = None if shard is None else f"{shard.index}/{shard.count}"
        return console.emit({"run": run.path, "scores": run.scores, "evaluations": scored, "shard": part})
    who = "This job" if shard is None else f"Shard {shard.index} of {shard.count}"
    return console.say(f"{who}: {scored} evaluations. Scores: {run.scores}")


def curriculum_for(settings: "Config", run: RunDirectory) -> Path:
    """The file that architectures are taught with.

    Raises:
        ConfigError: search.curriculum names a file that is not there.
        RunError: the run has none, and search.curriculum names none.
    """
    from gtn_hpc.config.curriculum import curriculum_path, require_file

    path = curriculum_path(settings, run)
    if settings.search.curriculum is not None:
        try:
            require_file(path)
        except StorageError as error:
            raise ConfigError(f"search.curriculum: {error.what}", remedy=error.remedy) from error
    elif not path.is_file():
        raise RunError(
            f"The run '{run.name}' in {run.path} has no curriculum.h5 to teach architectures with.",
            remedy="Teach a teacher first (gtn train CONFIG), or name a file: search.curriculum=FILE.h5.",
        )
    return path


class Scoring:
    """Moves the meter of a search: what the members of `Watch` of these names are."""

    def __init__(self, meter: Meter, config: "Config") -> None:
        from gtn_hpc.scores.folding import Throttle

        self._meter, self._config, self._budget = meter, config, config.search.budget
        self._certifies = config.search.certificate.fraction > 0
        self._scored, self._now_and_then = Scored(), Throttle(SHARE)
        self._best: float | None = None
        self._done, self._text = 0, ""

    def begun(self, before: "Journals") -> None:
        rows: Iterable[Row] = chain(before.scores, before.certificates, before.tells)
        for row in rows:
            self._take(row)
        for tell in before.tells:
            self._note(tell.value)
        self._done = min(len({tell.order for tell in before.tells}), self._budget)
        self.show()

    def outcome(self, found: "Outcome") -> None:
        if self._certifies:
            self._scored.told[found.proposal.ask] = (found.proposal.arch.digest, found.value)
        self._note(found.value)
        self._done = min(self._done + 1, self._budget)
        self._now_and_then(self.show)

    def _note(self, value: float) -> None:
        if math.isfinite(value) and (self._best is None or value > self._best):
            self._best = value
        self._text = "" if self._best is None else f"best {100 * self._best:.1f} %"

    def certificate(self, found: "Certificate") -> None:
        rho = found.spearman
        value = "unknown" if math.isnan(rho.value) else f"{rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}]"
        self._text = f"Spearman {value} of {rho.n} on real data"
        self._now_and_then(self.show)

    def row(self, row: "Score | CertificateRow") -> None:
        self._take(row)
        self._now_and_then(self.show)

    def _take(self, row: "Row") -> None:
        from gtn_hpc.scores.rows import to_plain

        if self._certifies:
            self._scored.take(to_plain(row))

    def show(self) -> None:
        """With a certificate its trainings count as well, and the time left is by kind of evaluation."""
        if not self._certifies:
            return self._meter.reach(self._done, self._text)
        left = self._scored.certificate_left(self._config, self._budget)
        found = self._scored.summary(time.time(), planned(self._config, self._budget), left)
        trained = len(self._scored.trained) if left else 0
        done, total = self._done + trained, self._budget + trained + sum(left.values())
        return self._meter.reach(done, self._text, total=total, left=time_left(found) if done < total else "")


def show(run: RunDirectory, report: "SearchReport") -> None:
    """The best architectures and the certificate."""
    from gtn_hpc import scores

    with scores.open(run.scores) as tables:
        known = tables.architectures.set_index("arch")
    rows = [
        (place, arch, f"{100 * value:.2f}", int(known.params[arch]), f"{known.flops[arch] / 1e6:.2f}")
        for place, (arch, value) in enumerate(report.best[:SHOWN], start=1)
    ]
    title = f"The best of {report.architectures} architectures by their validation accuracy after the curriculum"
    console.table(title, ("place", "architecture", "accuracy %", "parameters", "MFLOPs"), rows)
    bad = {status: count for status, count in report.statuses.items() if status != "ok"}
    if bad:
        console.say("Not scored: " + ", ".join(f"{count} {status}" for status, count in sorted(bad.items())))
    if report.certified:
        console.say(
            f"Rank correlation with real-data training over {report.certified} architectures (95 % intervals): "
            f"Spearman {report.certificate.spearman}, Kendall {report.certificate.kendall}"
        )
    for rival in report.rivals:
        console.say(f"Ranking by {rival.name} gives {rival.spearman}; the teacher is ahead by {rival.ahead}")
    console.say(f"Scores: {run.scores}")


def _summary(run: RunDirectory, report: "SearchReport") -> dict[str, object]:
    return {
        "run": run.path,
        "scores": run.scores,
        "architectures": report.architectures,
        "statuses": dict(report.statuses),
        "best": [{"arch": arch, "val_accuracy": value} for arch, value in report.best[:SHOWN]],
        "certified": report.certified,
        "certificate": report.certificate.to_json(),
        "beside": [rival.to_json() for rival in report.rivals],
    }
