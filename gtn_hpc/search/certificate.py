"""How far the estimates can be trusted: a stratified sample of architectures is trained on real data as well."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gtn_hpc.config.searching import Certificate as CertificateSection
from gtn_hpc.core.streams import numpy_rng
from gtn_hpc.scores.rows import CertificateRow
from gtn_hpc.stats import Estimate, kendall, spearman


def stratified(estimates: Mapping[str, float], section: CertificateSection, seed: int) -> list[str]:
    """Architectures for the certificate: an equal number, as far as it goes, from each stratum of the estimate."""
    order = sorted(estimates, key=lambda arch: (estimates[arch], arch))
    if not order or section.fraction == 0:
        return []
    size = min(len(order), max(section.minimum, math.ceil(section.fraction * len(order))))
    strata = np.array_split(np.array(order), min(section.strata, size))
    shares = np.array_split(np.arange(size), len(strata))
    rng = numpy_rng(seed, "search/certificate")
    chosen = [rng.choice(stratum, len(share), replace=False) for stratum, share in zip(strata, shares, strict=True)]
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

    def to_json(self) -> dict[str, Any]:
        """Plain values; None where there is no number."""
        told = {name: asdict(getattr(self, name)) for name in ("spearman", "kendall", "top_half")}
        numbers = {
            name: {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in estimate.items()}
            for name, estimate in told.items()
        }
        return {"steps": self.steps, **numbers}


def truths_of(rows: Iterable[CertificateRow], steps: int) -> dict[str, float]:
    """Architecture -> mean validation accuracy on real data over replicas; one that failed has no truth."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.source == "truth" and row.steps == steps:
            found.setdefault(row.arch, {})[row.key] = row.val_accuracy
    means = {arch: float(np.mean(list(values.values()))) for arch, values in found.items()}
    return {arch: value for arch, value in means.items() if not math.isnan(value)}


def certify(estimates: Mapping[str, float], truths: Mapping[str, float], steps: int, seed: int) -> Certificate:
    """The correlations over architectures that have both; cost: about a second for hundreds of them."""
    both = sorted(set(estimates) & set(truths))
    estimate, truth = [estimates[arch] for arch in both], [truths[arch] for arch in both]
    rng = numpy_rng(seed, "search/bootstrap")
    return Certificate(
        steps,
        spearman(estimate, truth, rng=rng),
        kendall(estimate, truth, rng=rng),
        spearman(estimate, truth, rng=rng, top=0.5),
    )
