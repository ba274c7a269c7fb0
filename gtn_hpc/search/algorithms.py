"""Algorithms by name."""

from gtn_hpc.config import Config
from gtn_hpc.search.algorithm import Algorithm
from gtn_hpc.search.random_search import RandomSearch
from gtn_hpc.spaces import Space


def make_algorithm(config: Config, space: Space, steps: int) -> Algorithm:
    """The algorithm of `search.algorithm`, for architectures of `space` taught for at most `steps` inner steps."""
    return RandomSearch(space, steps, config.run.seed)
