"""Boundary AP (2103.16562): what COCO's AP becomes when boundaries count, by faster-coco-eval.

The IoU of a pair is the smaller of the masks' IoU and of their boundaries' IoU; a boundary is what
an erosion by d pixels takes off a mask, with d 2 % of the image's diagonal. The paper does not
have this metric; the field has used it since for what the paper is about.

The authors' own tool (bowenc0221/boundary-iou-api) is not in the package index. This one keeps to
its definition, which the tests check against a plain implementation.
"""

import contextlib
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np

from pointrend_repro.evaluation.coco_ap import (
    STATS,
    percent,
    read_coco_results,
    without_boxes,
)
from pointrend_repro.evaluation.scoring import ReadOnce, Scored

_log = logging.getLogger(__name__)

# Of the image's diagonal: the authors' value for COCO and LVIS.
_DILATION_RATIO = 0.02


def boundary_ap(ground_truth: Path, predictions: Path) -> dict[str, float | None]:
    """Score instance predictions by Boundary AP.

    Args:
        ground_truth: annotations in COCO's format.
        predictions: predictions in COCO's results format.

    Returns:
        `AP`, `AP50`, `AP75`, `APs`, `APm`, `APl` of boundaries, in percent; None stands for a
        number without any object.

    Raises:
        UserError: a file is faulty, or the two do not belong together.
    """
    return score_boundary_ap(ground_truth, predictions, ReadOnce()).values


def score_boundary_ap(ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score as `boundary_ap` does."""
    from faster_coco_eval import COCO, COCOeval_faster

    content, found = read_coco_results(ground_truth, predictions, once)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        truth = COCO(content)
        results = truth.loadRes(without_boxes(found)) if found else _nothing(COCO, content)
        evaluation = COCOeval_faster(
            truth,
            results,
            iouType="boundary",
            boundary_dilation_ratio=_DILATION_RATIO,
            boundary_cpu_count=1,
        )
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    _log.debug("faster-coco-eval: %s", printed.getvalue())
    numbers = np.asarray(evaluation.stats, dtype=float)[: len(STATS)]
    return Scored(dict(zip(STATS, [percent(n) for n in numbers], strict=True)))


def _nothing(coco: Any, content: dict[str, Any]) -> Any:
    return coco({**content, "annotations": []})
