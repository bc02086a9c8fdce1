"""COCO's average recall of the objects of each class, by pycocotools, for masks and for boxes.

Not that of proposals, which have no classes (`proposal_recall`).
"""

from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.declarations.official_keys import COCO_AR_KEYS
from pointrend_repro.evaluation.coco_ap import (
    Kind,
    coco_matches,
    coco_recalls,
    read_coco_results,
)
from pointrend_repro.evaluation.scoring import ReadOnce, Scored


def score_coco_ar(ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score the masks of instance predictions in COCO's results format.

    Raises:
        UserError: a file is faulty, or the two do not match.
    """
    _, results = read_coco_results(ground_truth, predictions, once)
    # As coco_ap asks for them, whose matches these are if it is scored, too.
    return _scored(ground_truth, predictions, once, "segm", boxes=results.has_boxes)


def score_coco_box_ar(ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score the boxes of instance predictions in COCO's results format.

    Raises:
        UserError: a file is faulty, or the two do not match.
    """
    _, results = read_coco_results(ground_truth, predictions, once, masks=False)
    if not results.has_boxes:
        raise UserError(f"{predictions}: not all predictions have a 'bbox'")
    return _scored(ground_truth, predictions, once, "bbox", boxes=True)


def _scored(
    ground_truth: Path, predictions: Path, once: ReadOnce, kind: Kind, *, boxes: bool
) -> Scored:
    masks = kind == "segm"
    truth, results = read_coco_results(ground_truth, predictions, once, masks=masks)
    masks |= "coco_ap" in once.metrics and results.has_masks
    kinds: tuple[Kind, ...] = (*(("segm",) if masks else ()), *(("bbox",) if boxes else ()))
    table = once(coco_matches, ground_truth, predictions, once, kinds)[kind]
    return Scored(dict(zip(COCO_AR_KEYS, coco_recalls(truth, table, kind), strict=True)))
