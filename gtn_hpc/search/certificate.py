"""How far the estimates can be trusted: a stratified sample of architectures is trained on real data as well."""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gtn_hpc.config.searching import Certificate as CertificateSection
from gtn_hpc.core.records import Score
from gtn_hpc.core.streams import numpy_rng
from gtn_hpc.training.request import Request


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


class Truths:
    """Requests on real data, asked for in order by the search loop; `watch` is called with every score."""

    def __init__(self, requests: Sequence[Request], watch: Callable[[Score], None], stop: Callable[[], object]) -> None:
        self._requests = deque(requests)
        self._watch, self._stop = watch, stop

    def ask(self) -> Request | None:
        return self._requests.popleft() if self._requests and not self._stop() else None

    def tell(self, score: Score) -> None:
        self._watch(score)
