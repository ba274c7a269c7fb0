"""From the rows of a run to architectures and one number each. Imports no torch."""

import json
from collections.abc import Iterable

import numpy as np

from gtn_hpc.core.records import Architecture, Score
from gtn_hpc.scores.replay import Journals, distinct
from gtn_hpc.scores.rows import CertificateRow

ASIDE = ("curve_seconds", "proxy_seconds")
"""Parts of an evaluation's seconds that a ranking does not need."""


def estimates(scores: Iterable[Score]) -> dict[str, float]:
    """Digest of an architecture -> mean validation accuracy over its replicas, for those scored at the top fidelity,
    the highest at which a training ended well.

    An architecture with a replica that did not end well has no estimate. Rows that are there twice count once.
    """
    rows = distinct(scores)
    top = max((score.fidelity for score in rows if score.status == "ok"), default=0)
    found: dict[str, list[Score]] = {}
    for score in rows:
        if score.fidelity == top:
            found.setdefault(score.arch, []).append(score)
    return {
        arch: float(np.mean([row.val_accuracy for row in sorted(replicas, key=lambda row: row.replica)]))
        for arch, replicas in sorted(found.items())
        if all(row.status == "ok" for row in replicas)
    }


def plain_seconds(row: Score | CertificateRow) -> float:
    """Seconds of the evaluation with one measurement, at its end, and without zero-cost proxies."""
    return row.seconds - sum(row.extra.get(name, 0.0) for name in ASIDE)


def ranked(found: dict[str, float]) -> list[str]:
    """Architectures, the best first; equal ones in the order of their digests."""
    return sorted(found, key=lambda arch: (-found[arch], arch))


def architectures_of(journals: Journals) -> dict[str, Architecture]:
    """Digest -> architecture, of all that the run has ever asked for."""
    return {row.arch: Architecture(row.space, json.loads(row.spec)) for row in journals.architectures}
