"""The certificate's sample: even over strata of the estimate, seeded, and never more than there is."""

import math
from collections import Counter

import pytest

from gtn_hpc.config import parse
from gtn_hpc.config.searching import Certificate
from gtn_hpc.scores.rows import CertificateRow
from gtn_hpc.search.certificate import certify, stratified, truths_of
from gtn_hpc.search.sample import Sample, outstanding

ESTIMATES = {f"arch{number:02d}": number / 100 for number in range(40)}


def quarter(arch: str) -> int:
    return int(arch.removeprefix("arch")) // 10


def test_every_stratum_gives_equally_many() -> None:
    chosen = stratified(ESTIMATES, Certificate(fraction=0.4, minimum=0, strata=4), seed=0)
    assert Counter(map(quarter, chosen)) == {0: 4, 1: 4, 2: 4, 3: 4}
    assert len(set(chosen)) == 16


def test_the_sample_is_a_function_of_the_seed() -> None:
    section = Certificate(fraction=0.25)
    assert stratified(ESTIMATES, section, seed=0) == stratified(dict(reversed(ESTIMATES.items())), section, seed=0)
    assert stratified(ESTIMATES, section, seed=0) != stratified(ESTIMATES, section, seed=1)


@pytest.mark.parametrize(
    ("fraction", "minimum", "size"), [(0.0, 8, 0), (0.1, 8, 8), (0.3, 8, 12), (1.0, 8, 40), (0.1, 99, 40), (0.01, 0, 1)]
)
def test_the_size_of_the_sample(fraction: float, minimum: int, size: int) -> None:
    section = Certificate(fraction=fraction, minimum=minimum, strata=7)
    assert len(stratified(ESTIMATES, section, seed=0)) == size


def test_an_architecture_that_is_asked_for_again_is_drawn_by_its_first_estimate() -> None:
    """As after a restart, which knows at once what was told in the course of a search."""
    section = Certificate(fraction=0.25, minimum=15, every=50)
    first, whole = Sample(section, seed=0), Sample(section, seed=0)
    for ask, (arch, value) in enumerate(ESTIMATES.items()):
        first.tell(ask, arch, value)
        whole.tell(ask, arch, value)
        whole.tell(ask + len(ESTIMATES), arch, 1 - value)
    first.finish()
    whole.draw()
    assert len(first.blocks) == 2
    assert whole.blocks == first.blocks[:1]
    whole.finish()
    assert whole.blocks == first.blocks


def test_what_the_certificate_lacks_is_known_before_the_scores_are() -> None:
    """40 architectures in parts of 16, 16 and 8: 4, 4 and 2 of them, twice each, by the truth and by one control."""
    config = parse("run: {name: a}\nsearch: {replicas: 2, certificate: {every: 16, minimum: 8, controls: [untrained]}}")
    assert outstanding(config, 40, {}, []) == {"truth": 20, "untrained": 20}
    told = {ask: estimate for ask, estimate in enumerate(ESTIMATES.items()) if ask < 20}
    sample = Sample(config.search.certificate, seed=0)
    for ask, estimate in told.items():
        sample.tell(ask, *estimate)
    sample.draw()
    trained = [("truth", arch, 0) for arch in sample.chosen] + [("truth", "of another sample", 0)]
    assert outstanding(config, 40, told, trained) == {"truth": 16, "untrained": 20}
    failed = {ask: (arch, -math.inf) for ask, (arch, _) in told.items()}
    assert outstanding(config, 40, failed, []) == {"truth": 16, "untrained": 16}
    assert outstanding(config, 20, failed, []) == {}
    assert outstanding(parse("run: {name: a}\nsearch: {certificate: {fraction: 0}}"), 40, told, []) == {}


def test_nothing_to_certify() -> None:
    assert stratified({}, Certificate(), seed=0) == []


def row(arch: str, accuracy: float, replica: int = 0, steps: int = 9, source: str = "truth") -> CertificateRow:
    return CertificateRow(f"{arch}/{replica}/{steps}", arch, source, replica, steps, accuracy, 1.0, "ok", 0.0)


def test_a_truth_is_the_mean_of_its_replicas_at_the_steps_asked_for() -> None:
    rows = [row("a", 0.5), row("a", 0.7, 1), row("a", 0.5), row("a", 0.9, steps=99), row("b", float("nan"))]
    assert truths_of([*rows, row("c", 0.1, source="untrained")], steps=9) == {"a": pytest.approx(0.6)}


def test_the_certificate_ranks_what_has_both_numbers() -> None:
    truths = {arch: -value for arch, value in list(ESTIMATES.items())[:20]} | {"other": 1.0}
    certificate = certify(ESTIMATES, truths, steps=9, seed=0)
    assert certificate.spearman.value == certificate.kendall.value == -1.0
    assert (certificate.spearman.n, certificate.top_half.n) == (20, 10)
    assert certificate.to_json()["spearman"]["value"] == -1.0


def test_a_certificate_over_nothing_says_why() -> None:
    certificate = certify(ESTIMATES, {}, steps=9, seed=0)
    assert certificate.to_json()["spearman"]["value"] is None
    assert "too few" in certificate.spearman.note
