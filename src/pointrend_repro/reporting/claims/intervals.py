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

from pointrend_repro.reporting.claims.student import t_quantile

LEVEL = 0.95

# The median of n normal numbers varies more than their mean: at most, for large n, by this.
_MEDIAN_TO_MEAN = math.sqrt(math.pi / 2)


class Interval(NamedTuple):
    """Ends of an interval of 95 %."""

    low: float
    high: float


class ImagesError(NamedTuple):
    """How sure a difference is of the images that happen to be the validation set.

    Attributes:
        interval: around the difference.
        shift: how far the middle of the resamples lies above the difference.
        centred: the resamples, moved so that their middle is the difference, (resamples,).
    """

    interval: Interval
    shift: float
    centred: NDArray[np.float64]


def images_error(
    difference: float, resampled: NDArray[np.float64], level: float = LEVEL
) -> ImagesError | None:
    """Return how far other images could have moved a difference.

    The interval is the percentile interval with its shorter arm made as long as the longer one. On
    small sets the resamples lie to one side: classes without an object in a draw drop out of the
    mean. Neither the percentile interval nor those that take the shift off twice (basic,
    bias-corrected) cover as they should then; docs/claims.md has the simulation.

    Args:
        difference: on the images as they are.
        resampled: (resamples,), nan where there was nothing to score. Is half of them nan, there
            are too few objects to say anything.
        level: of the interval.
    """
    valid = resampled[~np.isnan(resampled)]
    if 2 * len(valid) <= len(resampled):
        return None
    quantiles = np.quantile(valid, [(1 - level) / 2, 0.5, (1 + level) / 2])
    low, middle, high = (float(value) for value in quantiles)
    half = max(difference - low, high - difference)
    shift = middle - difference
    return ImagesError(Interval(difference - half, difference + half), shift, resampled - shift)


def share_above(resampled: NDArray[np.float64]) -> float:
    """Return the share of resamples with a difference above zero, of those that have one."""
    valid = resampled[~np.isnan(resampled)]
    return float(np.mean(valid > 0))


def trainings_interval(
    difference: float, by_model: Sequence[Sequence[float]], level: float = LEVEL
) -> Interval | None:
    """Return the interval of a difference between medians over independent trainings.

    Args:
        difference: of the medians.
        by_model: for each model of the difference, what each of its trials adds to it. Trials of
            one model that are compared with themselves, such as two output resolutions, are one
            number each.
        level: of the interval.

    Returns:
        Welch's t interval, its degrees of freedom rounded down; None unless each model has at least
        two trials.
    """
    if any(len(trials) < 2 for trials in by_model):
        return None
    error = trainings_error(
        [statistics.variance(trials) for trials in by_model], [len(trials) for trials in by_model]
    )
    half = error.deviation * t_quantile(error.freedom, level=level) if error.deviation else 0.0
    return Interval(difference - half, difference + half)


class TrainingsError(NamedTuple):
    """How far a difference of medians over trials is off, and how well that is known.

    Attributes:
        deviation: standard deviation, in the unit of the difference.
        freedom: Welch's degrees of freedom, rounded down.
    """

    deviation: float
    freedom: int


def trainings_error(variances: Sequence[float], trials: Sequence[int]) -> TrainingsError:
    """Return the error of a difference of medians, of models with these variances over trials.

    Args:
        variances: of what a trial of each model adds to the difference.
        trials: how many of them each model has, two at least.
    """
    squares = [variance / count for variance, count in zip(variances, trials, strict=True)]
    total = sum(squares)
    if not total:
        return TrainingsError(0.0, 1)
    shares = [
        (square / total) ** 2 / (count - 1) for square, count in zip(squares, trials, strict=True)
    ]
    wider = _MEDIAN_TO_MEAN if max(trials) > 2 else 1.0
    return TrainingsError(wider * math.sqrt(total), math.floor(1 / sum(shares) + 1e-9))


def combine(difference: float, intervals: Sequence[Interval]) -> Interval | None:
    """Return the interval with the errors of all of several.

    How far the middle of an interval is from the difference is a shift, and half its width an
    error. Shifts add up; independent errors add as squares. One interval alone stays as it is.
    """
    if not intervals:
        return None
    shift = sum((low + high) / 2 - difference for low, high in intervals)
    half = math.hypot(*((high - low) / 2 for low, high in intervals))
    return Interval(difference + shift - half, difference + shift + half)
