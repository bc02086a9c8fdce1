"""Quantiles of Student's t, exact for whole degrees of freedom, where it has a closed form.

SciPy has them, but nothing else here needs it; and a table ends somewhere.
"""

import functools
import math


@functools.cache
def t_quantile(freedom: int, *, level: float) -> float:
    """Return how far from zero a level's share of the distribution reaches on both sides.

    Args:
        freedom: degrees of freedom, at least 1.
        level: of the share within, between 0 and 1: 0.95 gives the 97.5 % quantile.
    """
    low, high = 0.0, math.pi / 2
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if _share_within(middle, freedom) < level else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _share_within(angle: float, freedom: int) -> float:
    """The probability of |t| <= sqrt(freedom) * tan(angle).

    Abramowitz and Stegun, 26.7.3 (odd) and 26.7.4 (even): a finite sum in powers of the cosine.
    """
    odd = freedom % 2
    cosine = math.cos(angle)
    term, total = (cosine if odd else 1.0), 0.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= cosine**2 * (power + 1) / (power + 2)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
