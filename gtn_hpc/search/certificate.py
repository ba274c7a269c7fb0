"""How far the estimates can be trusted: a stratified sample of architectures is trained on real data as well."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gtn_hpc.config.searching import Certificate as CertificateSection
from gtn_hpc.core.streams import BOOTSTRAP, numpy_rng
from gtn_hpc.scores.replay import distinct
from gtn_hpc.scores.rows import CertificateRow
from gtn_hpc.stats import Estimate, kendall, spearman, spearman_difference


def stratified(estimates: Mapping[str, float], section: CertificateSection, seed: int, block: int = 0) -> list[str]:
    """Architectures for the certificate: an equal number, as far as it goes, from each stratum of the estimate.

    `block` numbers the draws of one search.
    """
    if section.fraction == 0:
        return []
    size = max(section.minimum, math.ceil(section.fraction * len(estimates)))
    return drawn(estimates, size, section.strata, seed, block)


def drawn(estimates: Mapping[str, float], size: int, strata: int, seed: int, block: int) -> list[str]:
    """`size` architectures, or as many as there are, evenly from `strata` strata of the estimate."""
    order = sorted(estimates, key=lambda arch: (estimates[arch], arch))
    size = min(len(order), size)
    if size == 0:
        return []
    parts = np.array_split(np.array(order), min(strata, size))
    shares = np.array_split(np.arange(size), len(parts))
    rng = numpy_rng(seed, "search/certificate", block)
    chosen = [rng.choice(part, len(share), replace=False) for part, share in zip(parts, shares, strict=True)]
    return [str(arch) for part in chosen for arch in sorted(part)]


@dataclass(frozen=True)
class Certificate:
    """Rank correlations of the estimates with the truth after `steps` steps on real data, with bootstrap intervals.

    `top_half` is Spearman's over the better half by estimate (the paper's 0.56).
    """

    steps: int
    spearman: Estimate
    kendall: Estimate
    top_half: Estimate

    def trusted(self, floor: float) -> bool:
        """Whether the ranking is at least so good: the lower bound of Spearman's interval is not below `floor`.

        An estimate that is the same for all architectures ranks nothing and is not trusted.
        """
        return self.spearman.low >= floor

    def to_json(self) -> dict[str, Any]:
        """Plain values; None where there is no number."""
        numbers = {name: _plain(getattr(self, name)) for name in ("spearman", "kendall", "top_half")}
        return {"steps": self.steps, **numbers}


@dataclass(frozen=True)
class Rival:
    """Another way to rank: its Spearman's rho, and how much higher the teacher's is on the same resamples."""

    name: str
    spearman: Estimate
    ahead: Estimate

    def to_json(self) -> dict[str, Any]:
        """Plain values; None where there is no number."""
        return {"name": self.name, "spearman": _plain(self.spearman), "ahead": _plain(self.ahead)}


def _plain(estimate: Estimate) -> dict[str, Any]:
    return {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in asdict(estimate).items()}


def truths_of(rows: Iterable[CertificateRow], steps: int, source: str = "truth") -> dict[str, float]:
    """Architecture -> mean validation accuracy on real data over replicas; one that failed has no truth.

    With another `source` what that control says of it.
    """
    found: dict[str, list[float]] = {}
    for row in distinct(row for row in rows if row.source == source and row.steps == steps):
        found.setdefault(row.arch, []).append(row.val_accuracy)
    means = {arch: float(np.mean(values)) for arch, values in found.items()}
    return {arch: value for arch, value in means.items() if not math.isnan(value)}


def certify(
    estimates: Mapping[str, float], truths: Mapping[str, float], steps: int, seed: int, resamples: int = 10_000
) -> Certificate:
    """The correlations over architectures that have both; cost: about a second for hundreds of them."""
    both = sorted(set(estimates) & set(truths))
    estimate, truth = [estimates[arch] for arch in both], [truths[arch] for arch in both]
    rng = numpy_rng(seed, BOOTSTRAP)
    return Certificate(
        steps,
        spearman(estimate, truth, rng=rng, resamples=resamples),
        kendall(estimate, truth, rng=rng, resamples=resamples),
        spearman(estimate, truth, rng=rng, resamples=resamples, top=0.5),
    )


def compare(
    estimates: Mapping[str, float], truths: Mapping[str, float], others: Mapping[str, Mapping[str, float]], seed: int
) -> list[Rival]:
    """The teacher beside `others` (name -> architecture -> number), each on the architectures that both know."""
    rivals = []
    for name, other in others.items():
        both = sorted(set(estimates) & set(truths) & set(other))
        ours, theirs, truth = ([values[arch] for arch in both] for values in (estimates, other, truths))
        own = spearman(theirs, truth, rng=numpy_rng(seed, BOOTSTRAP))
        ahead = spearman_difference(ours, theirs, truth, rng=numpy_rng(seed, BOOTSTRAP))
        rivals.append(Rival(name, own, ahead))
    return rivals
