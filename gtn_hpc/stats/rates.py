"""How often something happens."""

import scipy

from gtn_hpc.stats.estimate import TAILS, Estimate, nothing


def rate(count: int, duration: float) -> Estimate:
    """Events a unit of `duration`, for `count` seen in it, with the exact interval of a Poisson process (Garwood 1936).

    Where nothing was seen yet the lower end is 0; where no time has passed there is no estimate.
    """
    if duration <= 0:
        return nothing(count, "no time has passed")
    tail = TAILS[0]
    low = float(scipy.special.gammaincinv(count, tail)) if count else 0.0
    return Estimate(
        count / duration,
        low / duration,
        float(scipy.special.gammaincinv(count + 1, 1 - tail)) / duration,
        count,
    )
