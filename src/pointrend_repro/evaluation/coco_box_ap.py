"""COCO's average precision of boxes, computed by pycocotools."""

from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.declarations.official_keys import COCO_KEYS
from pointrend_repro.evaluation.coco_ap import (
    Kind,
    coco_matches,
    coco_stats,
    read_coco_results,
)
from pointrend_repro.evaluation.scoring import ReadOnce, Scored


def coco_box_ap(ground_truth: Path, predictions: Path) -> dict[str, float | None]:
    """Score the boxes of instance predictions by COCO's AP; masks do not matter.

    Args:
        ground_truth: annotations in COCO format.
        predictions: predictions in COCO's results format, each with a `bbox`.

    Returns:
        `AP` (mean over IoU 0.50:0.05:0.95), `AP50`, `AP75`, `APs`, `APm`, `APl` in percent; None
        stands for a number without any object, where the tool says -1. As in COCO, objects are
        sorted into sizes by the `area` of their annotation, and detections by that of their box.

    Raises:
        UserError: a file is faulty, or the two do not match.
    """
    return score_coco_box_ap(ground_truth, predictions, ReadOnce()).values


def score_coco_box_ap(ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score as `coco_box_ap` does, and also return pycocotools' matches of boxes.

    Raises:
        UserError: as in `coco_box_ap`, or a prediction has no `bbox`.
    """
    truth, results = read_coco_results(ground_truth, predictions, once, masks=False)
    if not results.has_boxes:
        raise UserError(
            f"{predictions}: not all predictions have a 'bbox', which coco_box_ap reads"
        )
    # coco_ap matches both, and has then matched these.
    shared = "coco_ap" in once.metrics and results.has_masks
    kinds: tuple[Kind, ...] = ("segm", "bbox") if shared else ("bbox",)
    table = once(coco_matches, ground_truth, predictions, once, kinds)["bbox"]
    return Scored(dict(zip(COCO_KEYS, coco_stats(truth, table, "bbox"), strict=True)), table)
