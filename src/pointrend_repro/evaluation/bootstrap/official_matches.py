"""The matches of detections to objects, as pycocotools and lvis make them image by image."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pointrend_repro.evaluation.bootstrap.average_precision import (
    CategoryMatches,
    PrecisionCounts,
    precision_counts,
)

_Image = dict[str, Any]


def coco_counts(evaluation: Any) -> PrecisionCounts:
    """Return what COCO's mask AP needs of each image.

    Args:
        evaluation: pycocotools', after its `evaluate`.
    """
    parameters = evaluation.params
    return _counts(
        _of_all_sizes(evaluation.evalImgs, parameters.areaRng, parameters.imgIds),
        parameters.imgIds,
        parameters.iouThrs,
        keys=("dtScores", "dtMatches", "dtIgnore", "gtIgnore"),
    )


def lvis_counts(evaluation: Any) -> PrecisionCounts:
    """Return what AP* needs of each image.

    Args:
        evaluation: that of the `lvis` package, after its `evaluate`.
    """
    parameters = evaluation.params
    return _counts(
        _of_all_sizes(evaluation.eval_imgs, parameters.area_rng, parameters.img_ids),
        parameters.img_ids,
        parameters.iou_thrs,
        keys=("dt_scores", "dt_matches", "dt_ignore", "gt_ignore"),
    )


def _of_all_sizes(
    found: list[_Image | None], area_ranges: Sequence[Any], image_ids: Sequence[int]
) -> list[_Image | None]:
    """Return the entries of the first size, which is all sizes.

    Args:
        found: over categories, within each over sizes, and within these over the images.
    """
    count = len(image_ids)
    starts = range(0, len(found), len(area_ranges) * count) if count else ()
    return [image for start in starts for image in found[start : start + count]]


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
