"""How sure a difference is: of the images that happen to be the validation set, and of trainings.

The two are different questions and have different answers. Resampling images keeps the trained
models; it cannot say what other seeds would have given. The spread of the trials keeps the
images. A claim is about methods, so both count: their errors are independent and are added as such.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95

# 97.5 % quantiles of Student's t for 1, 2, ... degrees of freedom.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)
_T_BEYOND = 2.086  # falls to 1.960; the larger one is the careful one

# The median of n normal numbers varies more than their mean: at most, for large n, by this.
_MEDIAN_TO_MEAN = math.sqrt(math.pi / 2)


class Interval(NamedTuple):
    """Ends of an interval of 95 %."""

    low: float
    high: float


def images_interval(resampled: NDArray[np.float64]) -> Interval | None:
    """Return the percentile interval of a difference's values on resampled images.

    Args:
        resampled: (resamples,), nan where there was nothing to score. Is half of them nan, there
            are too few objects to say anything.
    """
    valid = resampled[~np.isnan(resampled)]
    if 2 * len(valid) <= len(resampled):
        return None
    low, high = np.quantile(valid, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def share_above(resampled: NDArray[np.float64]) -> float:
    """Return the share of resamples with a difference above zero, of those that have one."""
    valid = resampled[~np.isnan(resampled)]
    return float(np.mean(valid > 0))


def trainings_interval(difference: float, by_model: Sequence[Sequence[float]]) -> Interval | None:
    """Return the interval of a difference between medians over independent trainings.

    Args:
        difference: of the medians.
        by_model: for each model of the difference, what each of its trials adds to it. Trials of
            one model that are compared with themselves, such as two output resolutions, are one
            number each.

    Returns:
        Welch's t interval; None unless each model has at least two trials.
    """
    if any(len(trials) < 2 for trials in by_model):
        return None
    squares = [statistics.variance(trials) / len(trials) for trials in by_model]
    total = sum(squares)
    if not total:
        return Interval(difference, difference)
    shares = [
        (square / total) ** 2 / (len(trials) - 1)
        for square, trials in zip(squares, by_model, strict=True)
    ]
    freedom = math.floor(1 / sum(shares) + 1e-9)
    half = (_T[freedom - 1] if freedom <= len(_T) else _T_BEYOND) * math.sqrt(total)
    if any(len(trials) > 2 for trials in by_model):
        half *= _MEDIAN_TO_MEAN
    return Interval(difference - half, difference + half)


def combine(difference: float, intervals: Sequence[Interval]) -> Interval | None:
    """Return the interval with the errors of all of several: halves add as squares."""
    if not intervals:
        return None
    low = math.hypot(*(difference - interval.low for interval in intervals))
    high = math.hypot(*(interval.high - difference for interval in intervals))
    return Interval(difference - low, difference + high)
