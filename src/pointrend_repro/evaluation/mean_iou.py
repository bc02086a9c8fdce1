"""Mean IoU of a confusion matrix, averaged as in cityscapesscripts."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pointrend_repro.evaluation._cityscapes_compat import pixel_level_evaluator


def mean_iou(confusion: npt.NDArray[np.integer[Any]]) -> float | None:
    """Return the mean IoU of a confusion matrix as the official tool computes it, in percent.

    Args:
        confusion: pixel counts, (34, 34), by label id: [ground truth, prediction].
    """
    evaluator, settings = pixel_level_evaluator()
    evaluator.generateMatrix(settings)  # for its side effect: it lists the labels in the settings
    ious = {
        label: evaluator.getIouScoreForLabel(label, confusion, settings)
        for label in settings.evalLabels
    }
    return percent(evaluator.getScoreAverage(ious, settings))


def percent(score: float) -> float | None:
    """Return a score in percent, or None for nan."""
    return None if math.isnan(score) else 100 * float(score)
