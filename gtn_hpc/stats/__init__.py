"""Statistics of few numbers, each with its interval: rank correlations, means, paired differences."""

from gtn_hpc.stats.correlation import kendall, spearman, spearman_difference
from gtn_hpc.stats.estimate import Estimate
from gtn_hpc.stats.means import mean, paired_difference, sd, signed_rank
from gtn_hpc.stats.rates import rate
from gtn_hpc.stats.sweeps import Sweep, mean_sweep, spearman_sweep

__all__ = [
    "Estimate",
    "Sweep",
    "kendall",
    "mean",
    "mean_sweep",
    "paired_difference",
    "rate",
    "sd",
    "signed_rank",
    "spearman",
    "spearman_difference",
    "spearman_sweep",
]
