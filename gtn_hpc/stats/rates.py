"""How often something happens."""

import scipy

from gtn_hpc.stats.estimate import Estimate, nothing


def rate(count: int, duration: float, level: float = 0.95) -> Estimate:
    """Events a unit of `duration`, for `count` seen in it, with the exact interval of a Poisson process (Garwood 1936).

    Where nothing was seen yet the lower end is 0; where no time has passed there is no estimate.
    """
    if duration <= 0:
        return nothing(count, "no time has passed", level)
    tail = (1 - level) / 2
    low = float(scipy.special.gammaincinv(count, tail)) if count else 0.0
    return Estimate(
        count / duration,
        low / duration,
        float(scipy.special.gammaincinv(count + 1, 1 - tail)) / duration,
        count,
        level=level,
    )
