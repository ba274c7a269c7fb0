"""How far the estimates can be trusted: a stratified sample of architectures is trained on real data as well."""

import math
from collections.abc import Mapping

import numpy as np

from gtn_hpc.config.searching import Certificate as CertificateSection
from gtn_hpc.core.streams import numpy_rng


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
