"""What a search does about its certificate: it writes it down, and warns, stops, or lengthens the inner run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gtn_hpc.config import Config
from gtn_hpc.config.curriculum import curriculum_path
from gtn_hpc.core.errors import RunError
from gtn_hpc.core.events import meta_seconds
from gtn_hpc.core.rundir import RunDirectory
from gtn_hpc.search.certificate import Certificate
from gtn_hpc.search.certifying import Duties
from gtn_hpc.search.lengthening import Lengthening
from gtn_hpc.search.watch import Watch
from gtn_hpc.training.setting import Setting


@dataclass(frozen=True)
class Trust(Duties):
    """Duties, and the reason (`doubt`) where the search was ended."""

    reasons: list[RunError]

    @property
    def doubt(self) -> RunError:
        return self.reasons[-1]


def duties(config: Config, run: RunDirectory, setting: Setting, algorithm: Lengthening, watch: Watch) -> Trust:
    """Those of `search.certificate`."""
    section, reasons = config.search.certificate, list[RunError]()
    before, terms = run.read_state()["stages"].get("search", {}), _terms(config)
    lengths = {int(length): int(parts) for length, parts in before.get("lengthened", {}).items()}
    lengthened = {length: lengths.get(length, 0) for length in algorithm.reached}
    without_effect = [parts - 1 for length, parts in lengths.items() if length not in lengthened]
    decided = max([min([_decided(before, terms), *without_effect]), *lengthened.values()])

    def publish(certificate: Certificate) -> None:
        run.update_state("search", certificate=certificate.to_json())
        watch.certificate(certificate)

    def decide(certificate: Certificate, parts: int) -> bool:
        on: dict[str, Any] = {"decided": terms | {"parts": parts}}
        if certificate.trusted(section.floor):
            run.update_state("search", lengthened=lengthened, **on)
            return True
        text = doubt(certificate, section.floor)
        reasons.append(RunError(text, remedy="Teach a better teacher, or go on: search.certificate.policy=warn."))
        longer = min(2 * algorithm.length, setting.header.steps)
        if section.policy == "lengthen" and longer > algorithm.length:
            text += f" From here on all architectures are taught for {longer} steps instead of {algorithm.length}."
            algorithm.lengthen(longer)
            lengthened[longer] = parts
        elif section.policy == "lengthen":
            text += f" The curriculum has no more than {algorithm.length} steps, so the search goes on as it is."
        ended = section.policy == "stop"
        run.update_state("search", doubt=text, lengthened=lengthened, **({} if ended else on))
        watch.warning(text)
        return not ended

    return Trust(
        decide=decide,
        decided=decided,
        publish=publish,
        row=watch.row,
        seconds_steps=lambda scores, truths: equal_steps(scores, truths, section.steps, _share(config, run)),
        length=lambda: algorithm.length,
        lengthened=lengthened,
        stop=watch.stop,
        reasons=reasons,
    )


def _terms(config: Config) -> dict[str, Any]:
    """What may change between starts that decisions depend on."""
    names = ("policy", "floor", "fraction")
    return {name: getattr(config.search.certificate, name) for name in names} | {"budget": config.search.budget}


def _decided(state: Mapping[str, Any], terms: Mapping[str, Any]) -> int:
    """After how many parts of the sample an earlier start decided last, on the same terms; 0 where none did."""
    before: Mapping[str, Any] = state.get("decided", {})
    return int(before["parts"]) if terms == {name: before.get(name) for name in terms} else 0


def doubt(certificate: Certificate, floor: float) -> str:
    """In a sentence."""
    return (
        f"The teacher's ranking is not to be trusted: over {certificate.spearman.n} architectures of the sample "
        f"Spearman's rank correlation with real data is {certificate.spearman}, and its lower bound has to be "
        f"{floor:g} or more."
    )


def equal_steps(scores: Sequence[float], truths: Sequence[float], steps: int, share: float) -> int:
    """Real steps that take as many seconds as scoring one replica and its `share` of the meta-training.

    `scores` and `truths` are the seconds of evaluations so far, the latter of `steps` real steps each; both include
    the pass over the validation split.
    """
    rate = steps * len(truths) / max(sum(truths), 1e-9)
    return round((sum(scores) / max(len(scores), 1) + share) * rate)


def _share(config: Config, run: RunDirectory) -> float:
    """Seconds of the teacher's meta-training for each replica, 0 where no events beside its curriculum tell them."""
    seconds = meta_seconds(curriculum_path(config, run).parent)
    return 0.0 if math.isnan(seconds) else seconds / (config.search.budget * config.search.replicas)
