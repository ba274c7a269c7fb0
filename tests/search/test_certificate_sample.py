"""The certificate's sample: even over strata of the estimate, seeded, and never more than there is."""

from collections import Counter

import pytest

from gtn_hpc.config.searching import Certificate
from gtn_hpc.search.certificate import stratified

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


def test_nothing_to_certify() -> None:
    assert stratified({}, Certificate(), seed=0) == []
