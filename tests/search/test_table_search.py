"""On a table of NAS-Bench-201 the algorithms that learn end nearer to the best cell than chance does."""

import os
from pathlib import Path

import numpy as np
import pytest
from table_search import Table, search_table

from gtn_hpc.stats import paired_difference

TABLE = Path(
    os.environ.get("NASBENCH201_TABLE", Path(__file__).parents[3] / "shared" / "data" / "nasbench201_mini.csv.gz")
)
SEEDS, EVALUATIONS = 8, 100


@pytest.fixture(scope="module")
def table() -> Table:
    if not TABLE.is_file():
        pytest.skip(f"the NAS-Bench-201 table is not at {TABLE} (NASBENCH201_TABLE names it)")
    return Table.read(TABLE)


def regrets(table: Table, algorithm: str) -> np.ndarray:
    found = [search_table(table, algorithm, seed, EVALUATIONS)[-1] for seed in range(SEEDS)]
    return table.best_validation - np.array([validation for _, validation, _ in found])


def test_evolution_and_local_search_regret_less_than_random_search(table: Table) -> None:
    chance = regrets(table, "{name: random}")
    for learning in ("{name: evolution, population: 20, sample: 5}", "{name: local}"):
        assert paired_difference(chance, regrets(table, learning)).low > 0


def test_the_table_holds_every_function_of_the_space(table: Table) -> None:
    assert len(table.validation) == len(table.test) == 5044
    assert 0.5 < table.best_validation < table.best_test < 1
