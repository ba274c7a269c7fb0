"""Other ways to rank architectures, from the rows of a run."""

import math
from collections.abc import Mapping
from typing import get_args

import numpy as np

from gtn_hpc.config.searching import Proxy
from gtn_hpc.scores.replay import Journals
from gtn_hpc.search.certificate import truths_of


def rivals_of(journals: Journals) -> dict[str, Mapping[str, float]]:
    """Name -> architecture -> number, higher is better: size, zero-cost proxies that were recorded, controls."""
    found: dict[str, Mapping[str, float]] = {
        "parameters": {row.arch: float(row.params) for row in journals.architectures},
        "FLOPs": {row.arch: float(row.flops) for row in journals.architectures},
    }
    for name in get_args(Proxy):
        values: dict[str, list[float]] = {}
        for score in journals.scores:
            if math.isfinite(value := score.extra.get(name, math.nan)):
                values.setdefault(score.arch, []).append(value)
        found[name] = {arch: float(np.mean(several)) for arch, several in values.items()}
    for source in sorted({row.source for row in journals.certificates} - {"truth"}):
        longest = max(row.steps for row in journals.certificates if row.source == source)
        found[source] = truths_of(journals.certificates, longest, source)
    return {name.replace("_", " "): values for name, values in found.items() if values}
