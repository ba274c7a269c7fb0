"""The certificate while a search goes on: what is trained on real data, and what is done about a bad ranking."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gtn_hpc.config import Config
from gtn_hpc.core.records import Architecture, Score
from gtn_hpc.scores.replay import Journals, distinct
from gtn_hpc.scores.rows import CertificateRow
from gtn_hpc.search.algorithm import Outcome
from gtn_hpc.search.backlog import Backlog
from gtn_hpc.search.certificate import Certificate, certify
from gtn_hpc.search.sample import Sample
from gtn_hpc.search.study import Study
from gtn_hpc.search.work import evidence
from gtn_hpc.training.estimates import architectures_of, plain_seconds
from gtn_hpc.training.request import Identity, Request, Source

INTERIM = 1000
"""Bootstrap resamples of a certificate that is not decided on."""

FEW = 200
"""Architectures of the sample up to which there is a decision after each part, beyond only for a tenth more."""


@dataclass(frozen=True)
class Duties:
    """What to do when: `decide` is given the certificate after parts of the sample and their number, and says whether
    to go on; `decided` says after how many earlier starts did; `publish` is given it as it grows; `row` each score and
    training; `seconds_steps` says how many real steps take as long as the teacher, of the seconds of scores and of
    truths; `length` is the inner run's at present; `lengthened` says after how many parts it became which, in earlier
    starts too; `stop` says when to begin nothing more."""

    decide: Callable[[Certificate, int], bool]
    decided: int
    publish: Callable[[Certificate], None]
    row: Callable[[Score | CertificateRow], None]
    seconds_steps: Callable[[Sequence[float], Sequence[float]], int]
    length: Callable[[], int]
    lengthened: Mapping[int, int]
    stop: Callable[[], object]


class Certifying:
    """A study whose sample is trained on real data as soon as a part of it is drawn, on the same workers."""

    def __init__(
        self, config: Config, identity: Identity, before: Journals, duties: Duties, scoring: Backlog, backlog: Backlog
    ) -> None:
        self._section, self._seed = config.search.certificate, config.run.seed
        self._replicas = config.search.replicas
        self._study_backlog, self._backlog = scoring, backlog
        self._identity, self._duties, self._length, self._shortest = identity, duties, duties.length, duties.length()
        self._last = duties.decided
        self._sample = Sample(self._section, self._seed)
        self._architectures: dict[str, Architecture] = architectures_of(before)
        self._estimates: dict[tuple[str, int], float] = {}
        self._known: dict[str, float] = {row.key: row.val_accuracy for row in distinct(before.certificates)}
        self._truth_seconds = [plain_seconds(row) for row in before.certificates if row.source == "truth"]
        self._score_seconds = [plain_seconds(score) for score in before.scores]
        self._seconds_steps = {row.steps for row in before.certificates if row.source == "real_seconds"}
        self._pending: dict[str, Request] = {}
        self._study: Study | None = None
        self._scoring = self._queued = self._passed = 0
        self._finished = self._ended = False
        for row in before.certificates:
            self._backlog.learn(row)
        for tell in before.tells:
            self._tell(tell.ask, tell.arch, tell.fidelity, tell.value)
        self._published = len(self._truth_seconds)
        self._least = self._news_from({row.arch for row in before.certificates if row.source == "truth"})

    @property
    def ended(self) -> bool:
        """Whether `decide` ended the search."""
        return self._ended

    @property
    def patient(self) -> bool:
        return self._study is not None and self._study.patient

    def require_begun(self) -> None:
        """As `Backlog.require_begun`, of both backlogs; of none where `decide` ended the search."""
        if not self._ended:
            self._study_backlog.require_begun(self._backlog)

    def over(self, study: Study) -> "Certifying":
        """With the study whose outcomes it is given."""
        self._study = study
        return self

    def outcome(self, outcome: Outcome) -> None:
        """Takes what the study has settled."""
        proposal = outcome.proposal
        self._architectures[proposal.arch.digest] = proposal.arch
        self._tell(proposal.ask, proposal.arch.digest, proposal.fidelity, outcome.value)

    def _tell(self, ask: int, arch: str, fidelity: int, value: float) -> None:
        full = fidelity >= self._shortest
        self._sample.tell(ask, arch, value if full else -math.inf)
        self._estimates[arch, fidelity] = value

    def ask(self) -> Request | None:
        """The next training on real data that is due and ends in time, or else the study's next evaluation."""
        self._advance()
        request = self._next()
        if request is None and self._idle:
            self._sample.finish()
            self._finished = True
            self._advance()
            request = self._next()
        return request

    def _next(self) -> Request | None:
        assert self._study is not None
        request = None if self._duties.stop() else self._backlog.take()
        if request is not None:
            self._pending[self._identity.key(request)] = request
        elif not self._ended and (request := self._study.ask()) is not None:
            self._scoring += 1
        return request

    @property
    def _idle(self) -> bool:
        """Whether there is nothing to do and nothing is scored that could change that."""
        return not (self._ended or self._backlog or self._scoring or self._study_backlog or self._duties.stop())

    def tell(self, score: Score) -> None:
        """Takes a score, or a value on real data."""
        assert self._study is not None
        request = self._pending.pop(score.key, None)
        self._duties.row(score if request is None else evidence(score, request.source))
        if request is None:
            self._scoring -= 1
            self._score_seconds.append(plain_seconds(score))
            self._study.tell(score)
            return
        self._backlog.learn(score)
        self._known[score.key] = score.val_accuracy
        if request.source == "real":
            self._truth_seconds.append(plain_seconds(score))
            self._publish_now_and_then()

    def _advance(self) -> None:
        """Queues the trainings of parts that were drawn, and passes those whose truths are all there.

        A part is passed when all before it are too, all at the present length; then there may be a decision. What an
        earlier start has decided on is passed at any length, and not decided on anew.
        """
        self._sample.draw()
        for block in self._sample.blocks[self._queued :]:
            self._enqueue(block, "real", self._section.steps)
        self._queued = len(self._sample.blocks)
        while not self._ended and self._passed < len(self._sample.blocks):
            block = self._sample.blocks[self._passed]
            again = self._passed < self._duties.decided
            if self._missing(block, "real", self._section.steps) or not (again or self._scored(self._passed + 1)):
                return
            self._passed += 1
            if self._decisive and self._passed > self._last:
                self._decide()
            if not self._ended:
                for source in self._section.controls:
                    self._enqueue(block, source, self._steps_of(source))
        if self._finished and self._last < self._passed == len(self._sample.blocks):
            self._decide()

    @property
    def _decisive(self) -> bool:
        """Whether there is a decision after the part that was passed last, wherever the sample ends."""
        return self._passed in decided_after([len(block) for block in self._sample.blocks[: self._passed]])

    def _scored(self, parts: int) -> bool:
        """Whether all of the first `parts` were scored at the present length."""
        length = self._length()
        return all((arch, length) in self._estimates for block in self._sample.blocks[:parts] for arch in block)

    def _decide(self) -> None:
        self._last, blocks = self._passed, self._sample.blocks[: self._passed]
        estimates, truths = self._numbers(blocks)
        if len(estimates.keys() & truths) >= self._section.minimum:
            certificate = self.certificate(blocks)
            self._publish(certificate)
            self._ended = not self._duties.decide(certificate, self._passed)

    def _steps_of(self, source: Source) -> int:
        """Steps of a control of the part that was passed last."""
        if source != "real_seconds":
            sooner = self._passed + self._decisive  # a decision at the end comes after the controls
            lengths = [length for length, parts in self._duties.lengthened.items() if parts < sooner]
            return max(lengths, default=self._shortest)
        if not self._seconds_steps:
            steps = self._duties.seconds_steps(self._score_seconds, self._truth_seconds)
            self._seconds_steps.add(max(1, min(steps, self._section.steps)))
        return min(self._seconds_steps)

    def _enqueue(self, block: list[str], source: Source, steps: int) -> None:
        for request in self._missing(block, source, steps):
            self._backlog.add(request)

    def _missing(self, block: list[str], source: Source, steps: int) -> list[Request]:
        return [r for r in self._requests(block, source, steps) if self._identity.key(r) not in self._known]

    def _requests(self, block: list[str], source: Source, steps: int) -> list[Request]:
        return [
            Request(self._architectures[arch], steps, replica, source=source)
            for arch in block
            for replica in range(self._replicas)
        ]

    def certificate(self, blocks: list[list[str]], resamples: int = 10_000) -> Certificate:
        """Of the architectures in `blocks` that have an estimate at the present length and a truth."""
        return certify(*self._numbers(blocks), self._section.steps, self._seed, resamples)

    def _numbers(self, blocks: list[list[str]]) -> tuple[dict[str, float], dict[str, float]]:
        """Estimates and truths of the architectures in `blocks`, where they are there."""
        archs, length = [arch for block in blocks for arch in block], self._length()
        estimates = {
            arch: value for arch in archs if math.isfinite(value := self._estimates.get((arch, length), math.nan))
        }
        return estimates, {arch: truth for arch in archs if math.isfinite(truth := self._truth(arch))}

    def _truth(self, arch: str) -> float:
        keys = [self._identity.key(request) for request in self._requests([arch], "real", self._section.steps)]
        return sum(self._known.get(key, math.nan) for key in keys) / len(keys)

    def _news_from(self, archs: set[str]) -> Counter[int]:
        """By length of the inner run, of how many architectures a certificate has to be to tell more than one of
        those that have an estimate and a truth among `archs`."""
        true = {arch for arch in archs & self._architectures.keys() if math.isfinite(self._truth(arch))}
        least = Counter(
            length for (arch, length), value in self._estimates.items() if arch in true and math.isfinite(value)
        )
        return Counter({length: count + 1 for length, count in least.items()})

    def _publish(self, certificate: Certificate) -> None:
        """Where it is not of fewer architectures than the last one, as at decisions on the first parts of a sample, and
        of more than earlier starts knew."""
        length, size = self._length(), certificate.spearman.n
        if size >= self._least[length]:
            self._least[length] = size
            self._duties.publish(certificate)

    def _publish_now_and_then(self) -> None:
        """At each truth while there are few, then whenever there are a tenth more: its cost grows with their number."""
        known = len(self._truth_seconds)
        if known >= max(3, self._published * 1.1):
            self._published = known
            self._publish(self.certificate(self._sample.blocks, INTERIM))


def decided_after(sizes: Sequence[int]) -> set[int]:
    """After how many parts of these sizes to decide: each while few, then for a tenth more than at the last."""
    found, last, total = set[int](), 0, 0
    for number, size in enumerate(sizes, start=1):
        total += size
        if total <= FEW or 10 * total >= 11 * last:
            found.add(number)
            last = total
    return found
