"""The AP of the 3D-FUTURE challenge: COCO's of masks, for larger objects and fewer detections."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.declarations.coco_limits import FUTURE3D, FUTURE3D_100, CocoLimits
from pointrend_repro.declarations.official_keys import COCO_KEYS
from pointrend_repro.evaluation.coco_ap import (
    accumulated,
    coco_matches,
    percent,
    read_coco_results,
)
from pointrend_repro.evaluation.scoring import ReadOnce, Scored

# Of each of `COCO_KEYS`, as in COCOeval.summarize(): the threshold of IoU, None for the mean over
# all, and the index of the sizes.
_NUMBERS = ((None, 0), (0.5, 0), (0.75, 0), (None, 1), (None, 2), (None, 3))


def _score(ground_truth: Path, predictions: Path, once: ReadOnce, *, limits: CocoLimits) -> Scored:
    """Score the masks of instance predictions in COCO's results format.

    Returns:
        Numbers in percent; None stands for one without any object, where the tool says -1.

    Raises:
        UserError: a file is faulty, or the two do not match.
    """
    truth, _ = read_coco_results(ground_truth, predictions, once)
    table = once(coco_matches, ground_truth, predictions, once, ("segm",), limits)["segm"]
    evaluation = accumulated(truth, table, "segm", limits)
    thresholds = evaluation.params.iouThrs
    # Of (thresholds, recalls, classes, sizes, numbers of detections). summarize() itself takes AP
    # at 100 detections whatever the limits are, and says -1 where there are fewer.
    precision = evaluation.eval["precision"][..., -1]
    values = {}
    for key, (threshold, size) in zip(COCO_KEYS, _NUMBERS, strict=True):
        chosen = precision if threshold is None else precision[thresholds == threshold]
        values[key] = percent(_mean(chosen[..., size]))
    return Scored(values, table)


def _mean(precision: NDArray[np.float64]) -> float:
    known = precision[precision > -1]
    return float(np.mean(known)) if known.size else -1


score_future3d_ap = partial(_score, limits=FUTURE3D)
score_future3d_ap_100 = partial(_score, limits=FUTURE3D_100)
