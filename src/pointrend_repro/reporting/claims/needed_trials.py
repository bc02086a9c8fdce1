"""How many trials would decide a difference that three have not decided."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from pointrend_repro.reporting.claims.intervals import LEVEL, Interval, trainings_error
from pointrend_repro.reporting.claims.student import t_quantile
from pointrend_repro.reporting.frozen import Frozen

# Nobody trains more often; it also ends the search.
MOST_TRIALS = 1000

_NORMAL = statistics.NormalDist()
# With exactly enough trials for the expected interval, a coin would decide: half of all repetitions
# would measure less than the truth. So there are enough for four in five.
CHANCE = 0.8


class Needed(Frozen):
    """What would decide a difference, or a claim.

    Attributes:
        trials: of each model; None if no number up to `MOST_TRIALS` would.
        images: times as many validation images as there are would be needed first, if the error
            over the images alone hides the difference; None if it does not.
    """

    trials: int | None
    images: float | None = None


def needed_trials(
    difference: float, images: Interval | None, by_model: Sequence[Sequence[float]]
) -> Needed | None:
    """Return how many trials of each model would decide a difference, with a chance of `CHANCE`.

    Assumed is that the difference is in truth what was measured, that a model's trials go on to
    vary as much as those that there are, and that the validation images and their error stay.

    Args:
        difference: of the medians.
        images: its interval over resampled images, None if they were not resampled.
        by_model: as `intervals.trainings_interval` takes it.

    Returns:
        None if a model has a single trial, so that nothing is known of how they vary, or if
        nothing is trained.
    """
    if not by_model:
        return None
    present = max(len(trials) for trials in by_model)
    if min(len(trials) for trials in by_model) < 2:
        return None
    effect = abs(difference)
    half_images = 0.0 if images is None else (images.high - images.low) / 2
    if half_images >= effect:
        times = (half_images / effect) ** 2 if effect else math.inf
        return Needed(trials=None, images=times if math.isfinite(times) else None)
    variances = [statistics.variance(trials) for trials in by_model]
    if _is_enough(effect, half_images, variances, MOST_TRIALS):
        counts = range(present, MOST_TRIALS + 1)
        return Needed(
            trials=next(n for n in counts if _is_enough(effect, half_images, variances, n))
        )
    return Needed(trials=None)


def _is_enough(effect: float, half_images: float, variances: Sequence[float], trials: int) -> bool:
    error = trainings_error(variances, [trials] * len(variances))
    half = math.hypot(half_images, error.deviation * t_quantile(error.freedom, level=LEVEL))
    return half + _NORMAL.inv_cdf(CHANCE) * error.deviation < effect


def needed_of_claim(parts: Sequence[tuple[float, bool, Needed | None]]) -> Needed | None:
    """Return what would decide a claim: each of its differences above zero, or one of them below.

    Args:
        parts: of each its difference, whether it is decided, and what would decide it.
    """
    below = [needed for difference, _, needed in parts if difference <= 0]
    open_ones = [needed for _, is_decided, needed in parts if not is_decided]
    if below:  # the quickest refutes the claim
        known = [needed for needed in below if needed is not None]
        return min(known, key=_effort) if known else None
    known = [needed for needed in open_ones if needed is not None]
    return max(known, key=_effort) if known and len(known) == len(open_ones) else None


def _effort(needed: Needed) -> Any:
    return (needed.trials is None, needed.images or 0.0, needed.trials or 0)
