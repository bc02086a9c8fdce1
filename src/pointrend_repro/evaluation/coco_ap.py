"""COCO's average precision of masks and boxes, computed by pycocotools."""

import contextlib
import io
import logging
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pointrend_repro.evaluation.official_files import (
    Entry,
    check_predictions,
    read_ground_truth,
    read_predictions,
)
from pointrend_repro.evaluation.scoring import ReadOnce, Scored

_log = logging.getLogger(__name__)

_REQUIRED = {
    "images": ("id", "height", "width"),
    "annotations": ("image_id", "category_id", "bbox", "area", "segmentation"),
    "categories": ("id",),
}

# The first six numbers of COCOeval.summarize(); areas in square pixels of the mask:
# s up to 32**2, m up to 96**2, l beyond.
STATS = ("AP", "AP50", "AP75", "APs", "APm", "APl")


def coco_ap(ground_truth: Path, predictions: Path) -> dict[str, float | None]:
    """Score instance predictions by COCO's AP.

    Args:
        ground_truth: annotations in COCO's format.
        predictions: predictions in COCO's results format.

    Returns:
        Mask `AP` (mean over IoU 0.50:0.05:0.95), `AP50`, `AP75`, `APs`, `APm`, `APl`, and the box
        AP `AP_box`, in percent. None stands for a number without any object, where the tool
        says -1; `AP_box` is also None if predictions come without `bbox`.

    Raises:
        UserError: a file is faulty, or the two do not belong together.
    """
    return score_coco_ap(ground_truth, predictions, ReadOnce()).values


def score_coco_ap(ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score as `coco_ap` does, and return pycocotools' evaluation of the masks as well."""
    content, found = read_coco_results(ground_truth, predictions, once)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        truth = coco_index(content)
        box_ap = _box_ap(truth, found)
        masks = _evaluate(truth, without_boxes(found), "segm")
    _log.debug("pycocotools: %s", printed.getvalue())
    return Scored(dict(zip(STATS, _stats(masks), strict=True)) | {"AP_box": box_ap}, masks)


def read_coco_results(
    ground_truth: Path, predictions: Path, once: ReadOnce
) -> tuple[dict[str, Any], list[Entry]]:
    """Read and check annotations and predictions that a COCO scorer is to compare.

    Returns:
        The annotations' content, with annotation ids from 1, and the predictions. The caller may
        write into the annotations, as the scorers do, and not into anything else.
    """
    content, found = once(_read_checked, ground_truth, predictions, once)
    # COCOeval marks a match by the annotation's id and takes 0 for "no match", so that an object
    # with id 0 would never be found: number them from 1.
    annotations = [
        {"iscrowd": 0, **entry, "id": index}
        for index, entry in enumerate(content["annotations"], start=1)
    ]
    return {**content, "annotations": annotations}, found


def _read_checked(
    ground_truth: Path, predictions: Path, once: ReadOnce
) -> tuple[dict[str, Any], list[Entry]]:
    content = read_ground_truth(ground_truth, _REQUIRED)
    found = once(read_predictions, predictions)
    check_predictions(
        predictions,
        found,
        sizes={image["id"]: (image["height"], image["width"]) for image in content["images"]},
        category_ids={category["id"] for category in content["categories"]},
    )
    return content, found


def without_boxes(found: list[Entry]) -> list[Entry]:
    """Return predictions without their boxes.

    loadRes would take a detection's area from its box, and so sort masks into APs, APm and APl by
    the size of their boxes; without the box it takes the mask's area.
    """
    return [{key: entry[key] for key in entry if key != "bbox"} for entry in found]


def percent(number: float) -> float | None:
    """Return a scorer's fraction in percent; its -1 stands for a number without any object."""
    return None if number < 0 else 100 * float(number)


def _box_ap(truth: COCO, found: list[Entry]) -> float | None:
    if any("bbox" not in entry for entry in found):
        return None
    boxes = [{key: entry[key] for key in entry if key != "segmentation"} for entry in found]
    return _stats(_evaluate(truth, boxes, "bbox"))[0]


def _evaluate(truth: COCO, found: list[Entry], iou_type: str) -> COCOeval:
    # loadRes looks at the first prediction, and fails where there is none.
    results = truth.loadRes(found) if found else coco_index({**truth.dataset, "annotations": []})
    evaluation = COCOeval(truth, results, iou_type)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def _stats(evaluation: COCOeval) -> list[float | None]:
    return [percent(number) for number in evaluation.stats[: len(STATS)]]


def coco_index(dataset: dict[str, Any]) -> COCO:
    """Return annotations as pycocotools reads them, without a file."""
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco
