"""GPU-hours and wall time of the trainings and predictions that are still to do.

A training takes its updates times the published seconds, on as many GPUs as those were measured
with. Fewer or more GPUs are taken to share the same work without loss; waiting for images is the
same on any GPU, and its GPUs wait with it.
"""

import heapq
from dataclasses import dataclass

from pointrend_repro.pipeline.planning.ranges import NOTHING, Range
from pointrend_repro.pipeline.planning.speeds import ModelSpeed


@dataclass(frozen=True)
class Machine:
    """The GPUs that the user names.

    Attributes:
        speed: of one GPU, in V100s.
        gpus_per_training: how many train one model.
        gpus: how many work at a time.
    """

    speed: Range
    gpus_per_training: int
    gpus: int


def training_hours(model: ModelSpeed, updates: int, machine: Machine, measured_gpus: int) -> Range:
    """Return the wall time of one training in hours.

    Args:
        updates: how many are left.
        measured_gpus: how many GPUs the speed was measured on.
    """
    share = measured_gpus / machine.gpus_per_training
    update_s = (model.train_s * share / machine.speed).plus(model.loading_s)
    return update_s * (updates / 3600)


def prediction_hours(model: ModelSpeed, images: int, machine: Machine, views: int = 1) -> Range:
    """Return the GPU-hours of one prediction, which runs on one GPU.

    Args:
        views: how often each image is seen. Heads run once a view, trunks up to three times
            (`modeling.views`), and how much of the time either takes is not known.
    """
    passes = Range(views, 3 * views - 2)
    return passes * (model.test_s / machine.speed * (images / 3600))


def wall_hours(
    trainings: list[tuple[Range, int]], predictions: Range, machine: Machine, *, longest: Range
) -> Range:
    """Return how long all takes on `machine.gpus` GPUs, in hours.

    The longest trainings start first, and the predictions are spread over all GPUs behind them.

    Args:
        trainings: wall time and number of GPUs of each.
        longest: wall time of the trainings of which each has to wait for the one before.
        predictions: GPU-hours of all.
    """
    if not trainings:
        return predictions * (1 / machine.gpus)
    makespan = Range(
        max(_makespan([(t.low, gpus) for t, gpus in trainings], machine.gpus), longest.low),
        max(_makespan([(t.high, gpus) for t, gpus in trainings], machine.gpus), longest.high),
    )
    return makespan.plus(predictions * (1 / machine.gpus))


def longest(trainings: list[Range]) -> Range:
    """Return the wall time of the longest training: no number of GPUs makes all end sooner.

    Args:
        trainings: wall time of each, with that of all trainings which it has to wait for.
    """
    return max(trainings, key=lambda t: t.high, default=NOTHING)


def _makespan(jobs: list[tuple[float, int]], gpus: int) -> float:
    """Return when the last of these jobs ends, of (hours, GPUs), on so many GPUs.

    The longest is first, and none overtakes another: a cluster that fills gaps may be faster.
    """
    free_at = [0.0] * gpus
    for hours, taken in sorted(jobs, reverse=True):
        *_, begins = chosen = [heapq.heappop(free_at) for _ in range(taken)]
        for _ in chosen:
            heapq.heappush(free_at, begins + hours)
    return max(free_at)
