"""The matches of detections to objects, as pycocotools and lvis make them image by image."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pointrend_repro.evaluation.bootstrap.average_precision import (
    CategoryMatches,
    PrecisionCounts,
    precision_counts,
)
from pointrend_repro.evaluation.coco_ap import (
    coco_evaluation,
    coco_index,
    read_coco_results,
    without_boxes,
)
from pointrend_repro.evaluation.lvis_ap import lvis_evaluation, read_lvis_results

_Image = dict[str, Any]


def coco_counts(ground_truth: Path, predictions: Path) -> PrecisionCounts:
    """Return what COCO's mask AP needs of each image."""
    content, found = read_coco_results(ground_truth, predictions)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = coco_evaluation(coco_index(content), without_boxes(found), "segm")
        evaluation.params.areaRng = evaluation.params.areaRng[:1]  # of all sizes
        evaluation.evaluate()
    parameters = evaluation.params
    return _counts(
        evaluation.evalImgs,
        parameters.imgIds,
        parameters.iouThrs,
        keys=("dtScores", "dtMatches", "dtIgnore", "gtIgnore"),
    )


def lvis_counts(ground_truth: Path, predictions: Path) -> PrecisionCounts:
    """Return what AP* needs of each image."""
    with lvis_evaluation(*read_lvis_results(ground_truth, predictions)) as evaluation:
        evaluation.params.area_rng = evaluation.params.area_rng[:1]  # of all sizes
        evaluation.evaluate()
    parameters = evaluation.params
    return _counts(
        evaluation.eval_imgs,
        parameters.img_ids,
        parameters.iou_thrs,
        keys=("dt_scores", "dt_matches", "dt_ignore", "gt_ignore"),
    )


def _counts(
    found: list[_Image | None],
    image_ids: Sequence[int],
    thresholds: Sequence[float],
    *,
    keys: tuple[str, str, str, str],
) -> PrecisionCounts:
    """Sort what a tool found: a list over categories, and within each over the images.

    Args:
        keys: the tool's names of detections' scores, matches and whether they are ignored, and of
            whether objects are.
    """
    count = len(image_ids)
    categories = [
        _category(found[start : start + count], len(thresholds), keys)
        for start in range(0, len(found), count)
    ]
    return precision_counts([str(i) for i in image_ids], categories, len(thresholds))


def _category(
    images: Sequence[_Image | None], thresholds: int, keys: tuple[str, str, str, str]
) -> CategoryMatches:
    scores, matches, ignored, ignored_objects = keys
    objects = np.zeros(len(images), dtype=np.int64)
    there = [(index, image) for index, image in enumerate(images) if image is not None]
    for index, image in there:
        objects[index] = np.count_nonzero(np.asarray(image[ignored_objects]) == 0)
    none = np.zeros((thresholds, 0), dtype=bool)
    return CategoryMatches(
        image=np.repeat([i for i, _ in there], [len(image[scores]) for _, image in there]).astype(
            np.int64
        ),
        score=np.concatenate([[], *(image[scores] for _, image in there)]),
        matched=np.concatenate([none, *(image[matches] != 0 for _, image in there)], axis=1),
        ignored=np.concatenate(
            [none, *(np.asarray(image[ignored], bool) for _, image in there)], axis=1
        ),
        objects=objects,
    )
