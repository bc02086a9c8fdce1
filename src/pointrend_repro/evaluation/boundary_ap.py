"""Boundary AP (2103.16562), which makes COCO's AP sensitive to boundaries, by faster-coco-eval.

The IoU of a pair is the smaller of the masks' IoU and of their boundaries' IoU; a boundary is what
an erosion by d pixels removes from a mask, with d 2 % of the image's diagonal, or 0.5 % for
Cityscapes. The paper does not report this metric; the field has since used it to measure what the
paper improves.

The authors' own tool (bowenc0221/boundary-iou-api), pycocotools with another IoU, is not in the
package index. So this IoU is faster-coco-eval's, which the tests check against a plain
implementation, and pycocotools matches by it. The numbers are faster-coco-eval's own, but its
matches cannot be read, and resampling needs them.

For Cityscapes, only the ratio is that of the authors' tool: the tool takes Cityscapes' AP, and this
remains COCO's.
"""

import contextlib
import io
import logging
from functools import partial
from pathlib import Path
from typing import Any

from pycocotools.cocoeval import COCOeval

from pointrend_repro.declarations.boundary_ratios import CITYSCAPES_RATIO, COCO_RATIO
from pointrend_repro.declarations.official_keys import COCO_KEYS
from pointrend_repro.evaluation.coco_ap import (
    coco_index,
    coco_stats,
    loaded,
    match_table,
    read_coco_results,
)
from pointrend_repro.evaluation.instance_results import InstanceResults, blocks
from pointrend_repro.evaluation.instance_truth import Truth, without
from pointrend_repro.evaluation.match_table import MatchTable
from pointrend_repro.evaluation.official_files import Entry
from pointrend_repro.evaluation.scoring import ReadOnce, Scored

_log = logging.getLogger(__name__)


def _score(ground_truth: Path, predictions: Path, once: ReadOnce, *, ratio: float) -> Scored:
    """Score instance predictions by Boundary AP.

    Args:
        ground_truth: annotations in COCO format.
        predictions: predictions in COCO's results format.
        ratio: how thick a boundary is, as a share of the image's diagonal.

    Returns:
        `AP`, `AP50`, `AP75`, `APs`, `APm`, `APl` of boundaries, in percent, and the matches of
        masks. None stands for a number without any object.

    Raises:
        UserError: a file is faulty, or the two do not match.
    """
    truth, results = read_coco_results(ground_truth, predictions, once)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        table = _matches(truth, results, ratio)
    _log.debug("faster-coco-eval and pycocotools: %s", printed.getvalue())
    return Scored(dict(zip(COCO_KEYS, coco_stats(truth, table, "segm"), strict=True)), table)


score_boundary_ap = partial(_score, ratio=COCO_RATIO)
score_boundary_ap_cityscapes = partial(_score, ratio=CITYSCAPES_RATIO)


def _matches(truth: Truth, results: InstanceResults, ratio: float) -> MatchTable:
    """Let pycocotools match detections to objects by their boundary IoU, block by block."""
    table = match_table(truth)
    for image_ids, found in blocks(truth.image_ids, results):
        content = truth.of_images(image_ids)
        overlaps = _overlaps(content, without("bbox", found), ratio)
        index = coco_index(content)
        # As `bbox`: for `segm` COCOeval would also encode the masks, which are compared above.
        evaluation = COCOeval(index, loaded(index, without("bbox", found)), "bbox")
        evaluation.computeIoU = lambda image_id, category_id, own=overlaps: own[
            image_id, category_id
        ]
        evaluation.evaluate()
        table.add(evaluation.evalImgs, len(image_ids))
    return table


def _overlaps(
    content: dict[str, Any], masks: list[Entry], ratio: float
) -> dict[tuple[int, int], Any]:
    """Return the boundary IoU of each image and category, by faster-coco-eval.

    They are arrays (detections, objects) with detections by falling score, or lists without any.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    index = COCO(content)
    evaluation = COCOeval_faster(
        index,
        index.loadRes(masks) if masks else COCO({**content, "annotations": []}),
        iouType="boundary",
        boundary_dilation_ratio=ratio,
        boundary_cpu_count=1,
    )
    evaluation.evaluate()
    overlaps: dict[tuple[int, int], Any] = evaluation.ious
    return overlaps
