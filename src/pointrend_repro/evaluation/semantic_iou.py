"""Mean IoU of semantic segmentation, computed by cityscapesscripts' pixel-level evaluator.

Only pixels whose ground truth has one of the 19 evaluated classes count. On such a pixel a
predicted id that is not evaluated is a miss of the true class, and nobody's false positive. A class
that is neither there nor predicted there has no IoU and is left out of the mean.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointrend_repro.evaluation._cityscapes_compat import pixel_level_evaluator
from pointrend_repro.evaluation.label_images import CLASS_NAMES, find_pairs, read_pair


def cityscapes_miou(ground_truth: Path, predictions: Path) -> dict[str, float | None]:
    """Score label images by Cityscapes' mean IoU over the 19 classes.

    Args:
        ground_truth: folder that holds gtFine/; the split val is scored.
        predictions: folder that holds, for each image, a PNG of label ids at the image's size, with
            a name that starts with `<city>_<seq>_<frame>`.

    Returns:
        `mIoU`, the tool's averageScoreClasses, and `IoU <class>` of each class, in percent. None
        stands for a number without any pixel, where the tool says nan.

    Raises:
        UserError: an image is missing or faulty.
    """
    pairs = find_pairs(ground_truth, predictions)
    for pair in pairs:
        read_pair(pair)  # for its complaints: the tool would end the program
    evaluator, settings = pixel_level_evaluator()
    scores = evaluator.evaluateImgLists(
        [str(pair.prediction) for pair in pairs], [str(pair.truth) for pair in pairs], settings
    )
    return {
        "mIoU": percent(scores["averageScoreClasses"]),
        **{f"IoU {name}": percent(scores["classScores"][name]) for name in CLASS_NAMES.values()},
    }


def mean_iou(confusion: npt.NDArray[np.integer[Any]]) -> float | None:
    """Return the mean IoU of a confusion matrix as the official tool computes it, in percent.

    Args:
        confusion: numbers of pixels, (34, 34), by label id: [ground truth, prediction].
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
