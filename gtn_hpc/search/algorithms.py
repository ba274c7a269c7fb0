"""Algorithms by name."""

from pathlib import Path

from gtn_hpc.config import Config
from gtn_hpc.config import searching as sections
from gtn_hpc.search.algorithm import Algorithm
from gtn_hpc.search.evolution import Evolution
from gtn_hpc.search.fixed_list import FixedList, read_list
from gtn_hpc.search.halving import SuccessiveHalving
from gtn_hpc.search.local_search import LocalSearch
from gtn_hpc.search.random_search import RandomSearch
from gtn_hpc.spaces import Space


def make_algorithm(config: Config, space: Space, steps: int) -> Algorithm:
    """The algorithm of `search.algorithm`, for architectures of `space` taught for at most `steps` inner steps."""
    section, seed = config.search.algorithm, config.run.seed
    match section:
        case sections.RandomSearch():
            return RandomSearch(space, steps, seed)
        case sections.Evolution():
            return Evolution(section, space, steps, seed)
        case sections.LocalSearch():
            return LocalSearch(section, space, steps, seed)
        case sections.SuccessiveHalving():
            return SuccessiveHalving(section, space, steps, seed)
        case sections.Nsga2() | sections.Tpe():
            from gtn_hpc.search.optuna_search import nsga2, tpe  # a second to import

            return nsga2(section, space, steps, seed) if section.name == "nsga2" else tpe(section, space, steps, seed)
        case sections.FixedList():
            return FixedList(read_list(Path(section.path), space), steps)
