"""`gtn plan`: what a run would ask of a cluster, before anything is submitted."""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gtn_hpc.config import Config
from gtn_hpc.config.site import Resources, Site
from gtn_hpc.core.events import read_events
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.launch.measuring import Measured
from gtn_hpc.scores.replay import Journals, read_journals
from gtn_hpc.search.sample import outstanding

ROW_BYTES = 700
"""A line of a journal, curve included, as journals of real searches have it."""


@dataclass(frozen=True)
class Forecast:
    """One stage: processes, the share of the busiest, predicted seconds (None where nothing was seen), from what."""

    stage: str
    processes: int
    share: str
    seconds: float | None
    source: str
    limit: float

    @property
    def restarts(self) -> int | None:
        """Requeues that the time limit makes necessary."""
        return None if self.seconds is None else int(self.seconds // self.limit)


def forecasts(config: Config, site: Site, run: RunDirectory, measured: Measured | None) -> list[Forecast]:
    """What each stage takes on `site`, by what `run` has recorded or else by `measured`."""
    journals = read_journals(run.journal) if run.journal.is_dir() else None
    return [
        _train(config, site.train, _recorded_replica(run, config), measured),
        _search(config, site.search, journals),
        _final(config, site.final, journals),
    ]


def _processes(wanted: Resources) -> int:
    return wanted.nodes * wanted.tasks_per_node


def _train(config: Config, wanted: Resources, recorded: float | None, measured: Measured | None) -> Forecast:
    ranks, meta = _processes(wanted), config.meta
    most = -(-meta.replicas // ranks)
    replica, source = recorded, "this run's events"
    if recorded is None:
        replica = None if measured is None else measured.seconds
        source = "nothing is recorded or measured" if measured is None else _how(measured)
    seconds = None if replica is None else replica * most * meta.iterations
    share = f"{most} of {meta.replicas} replicas in each of {meta.iterations} meta-iterations"
    return Forecast("train", ranks, share, seconds, source, 60.0 * wanted.minutes)


def _how(measured: Measured) -> str:
    return f"{measured.device}, {measured.replicas} replica{'s' * (measured.replicas > 1)} measured now"


def _recorded_replica(run: RunDirectory, config: Config) -> float | None:
    """Seconds of a replica, by the meta-iterations that were logged and the ranks that worked on each."""
    if not run.events.is_dir():
        return None
    done = [event for event in read_events(run.events) if event.get("kind") == "iterated"]
    took = [e["seconds"] / -(-config.meta.replicas // e.get("ranks", 1)) for e in done]
    return statistics.median(took) if took else None


def _workers(config: Config, processes: int) -> int:
    """Under mpiexec the first process asks and does no work itself."""
    return processes - 1 if processes > 1 else config.search.workers


def _search(config: Config, wanted: Resources, journals: Journals | None) -> Forecast:
    processes = _processes(wanted)
    workers = _workers(config, processes)
    evaluations = config.search.budget * config.search.replicas
    share = f"{-(-evaluations // workers)} of {evaluations} evaluations"
    certificate = whole_certificate(config)
    if trainings := sum(certificate.values()):
        share += f" and {-(-trainings // workers)} of {trainings} trainings for the certificate"
    elif config.search.algorithm.name == "halving" and config.search.certificate.fraction:
        share += ", without the certificate, whose size is not known beforehand"
    seconds, source = None, "nothing is scored yet"
    if journals and journals.scores:
        took = statistics.mean(score.seconds for score in journals.scores) * evaluations
        took += sum(number * _training_seconds(config, journals, kind) for kind, number in certificate.items())
        seconds, source = took / workers, _recorded_evaluations(journals, certificate)
    return Forecast("search", processes, share, seconds, source, 60.0 * wanted.minutes)


def whole_certificate(config: Config) -> Mapping[str, int]:
    """How many trainings the certificate of the whole search asks for, by source; empty where that is not known."""
    return outstanding(config, config.search.budget, {}, ())


def _training_seconds(config: Config, journals: Journals, source: str) -> float:
    """Mean seconds of the certificate's trainings of one source. Where none has ended, a control is taken to be as long
    as a score, and a truth as much longer as it sees more images."""
    if took := [row.seconds for row in journals.certificates if row.source == source]:
        return statistics.mean(took)
    if source != "truth":
        return statistics.mean(score.seconds for score in journals.scores)
    step = statistics.mean(score.seconds / score.fidelity for score in journals.scores)
    images = config.search.certificate.steps * config.final.recipe.batch
    return step * images / config.teacher.curriculum.batch


def _recorded_evaluations(journals: Journals, certificate: Mapping[str, int]) -> str:
    rows = [row.source for row in journals.certificates if row.source in certificate]
    guessed = [source for source in certificate if source not in rows]
    text = f"{len(journals.scores)} recorded evaluations"
    text += f", {len(rows)} recorded trainings for the certificate" if rows else ""
    return text + (f", {' and '.join(guessed)} guessed from evaluations by steps and batch" if guessed else "")


def _final(config: Config, wanted: Resources, journals: Journals | None) -> Forecast:
    section, processes = config.final, _processes(wanted)
    took = [row.seconds / row.epochs for row in journals.finals if row.epochs] if journals else []
    most = -(-section.top_k // _workers(config, processes))
    seconds = statistics.mean(took) * section.epochs * most if took else None
    plural = "" if section.top_k == 1 else "s"
    share = f"{most} of {section.top_k} architecture{plural}, {section.epochs} epochs each"
    source = f"{len(took)} recorded trainings" if took else "nothing is trained yet"
    return Forecast("final", processes, share, seconds, source, 60.0 * wanted.minutes)


def files(config: Config, measured: Measured) -> Mapping[str, int]:
    """Bytes of what a run leaves, about: parameters and two moments a checkpoint, images and labels, rows."""
    curriculum = config.teacher.curriculum
    images = curriculum.steps * curriculum.batch * (measured.image_values + measured.classes) * 4
    rows = config.search.budget * config.search.replicas * ROW_BYTES
    return {
        "checkpoints/": 3 * measured.teacher_bytes * config.meta.keep,
        "curriculum.h5": images,
        "journal/": rows,
        "scores.h5": rows // 2,
    }


def lines(config: Config, found: list[Forecast], measured: Measured | None) -> Iterator[str]:
    """The plan in words."""
    for one in found:
        limit, restarts = f"limit {_duration(one.limit)}", one.restarts
        time = "time unknown" if one.seconds is None else f"about {_duration(one.seconds)}"
        again = f", {restarts} requeues" if restarts else ""
        processes = f"{one.processes} process{'' if one.processes == 1 else 'es'}"
        yield f"{one.stage:7} {processes}, at most {one.share}: {time} ({one.source}), {limit}{again}"
    if measured is not None:
        yield f"memory  {measured.peak_bytes / 2**20:.0f} MiB a process on {measured.device}"
        sizes = files(config, measured)
        yield "files   " + ", ".join(f"{name} {_size(size)}" for name, size in sizes.items())
        yield f"        in {config.run.directory.path}"


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"


def _duration(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 3600
        else f"{seconds / 60:.1f} min"
        if seconds >= 60
        else f"{seconds:.0f} s"
    )
