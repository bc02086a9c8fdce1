"""Average recall (AR) of class-agnostic proposals, by pycocotools with `useCats = 0`.

AR@k is recall with an image's k highest-scoring proposals, averaged over IoU 0.50:0.05:0.95
(Hosang et al., 1502.05082). Objects and proposals of all classes are one class; crowds do not
count. `_S`, `_M` and `_L` are COCO's ranges of the objects' areas.

AUC is AR "averaged across all proposal counts" (DeepMask, 1506.06204, and SharpMask, 1603.08695,
Table 3). Neither paper says how. Here it is the mean over 1 to 1000 proposals on a logarithmic
axis, that is the area under the curves that both papers plot, by the trapezoid rule over all counts
from 1 to 1000. docs/sharpmask.md says why.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from pointrend_repro.base.errors import UserError
from pointrend_repro.evaluation.bootstrap.recall import curves, recall_counts
from pointrend_repro.evaluation.instance_results import (
    InstanceResults,
    index_results,
    require_known,
    require_masks,
)
from pointrend_repro.evaluation.instance_truth import Truth
from pointrend_repro.evaluation.official_files import read_ground_truth
from pointrend_repro.evaluation.proposal_matches import (
    CATEGORY,
    FoundObjects,
    Kind,
    match_proposals,
)
from pointrend_repro.evaluation.scoring import ReadOnce, Scored

_BOX_METRIC = "proposal_box_recall"
_MASK_METRIC = "proposal_recall"
_DETECTOR_METRIC = "detector_box_recall"


def score_proposal_recall(ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score proposals by their masks; by their boxes if the file has no masks at all.

    Args:
        ground_truth: annotations in COCO format.
        predictions: proposals in COCO's results format, of any category ids.

    Raises:
        UserError: a file is faulty, or the two do not match.
    """
    return _scored(ground_truth, predictions, once, _MASK_METRIC)


def score_proposal_box_recall(ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score proposals by their boxes: those around the masks, or `bbox` in a file without masks.

    Args:
        ground_truth: annotations in COCO format.
        predictions: proposals in COCO's results format, of any category ids.

    Raises:
        UserError: a file is faulty, or the two do not match.
    """
    return _scored(ground_truth, predictions, once, _BOX_METRIC)


def score_detector_box_recall(ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score a detector's boxes as proposals, whatever their classes and masks.

    Args:
        ground_truth: annotations in COCO format.
        predictions: in COCO's results format, each with a `bbox`.

    Raises:
        UserError: a file is faulty, or the two do not match.
    """
    _, results = once(_read, ground_truth, predictions, once)
    if not results.has_boxes:
        raise UserError(f"{predictions}: not all predictions have a 'bbox'")
    return _scored(ground_truth, predictions, once, _DETECTOR_METRIC)


def _scored(ground_truth: Path, predictions: Path, once: ReadOnce, metric: str) -> Scored:
    _, results = once(_read, ground_truth, predictions, once)
    own_boxes = metric == _DETECTOR_METRIC
    together = [metric] if own_boxes else [_MASK_METRIC, _BOX_METRIC]
    kinds = {name: _kind(name, results) for name in together}
    wanted = frozenset(kinds[name] for name in kinds if name in once.metrics | {metric})
    found = once(_match, ground_truth, predictions, once, wanted, own_boxes)[kinds[metric]]
    counts = recall_counts(found)
    ones = np.ones(len(found.images), dtype=np.int64)
    values = {
        key: None if math.isnan(number) else number for key, number in counts.score(ones).items()
    }
    return Scored(values, found, curves(counts.recall(ones)))


def _kind(metric: str, results: InstanceResults) -> Kind:
    return "segm" if metric == _MASK_METRIC and results.has_masks else "bbox"


def _match(
    ground_truth: Path,
    predictions: Path,
    once: ReadOnce,
    kinds: frozenset[Kind],
    own_boxes: bool,
) -> dict[Kind, FoundObjects]:
    content, results = once(_read, ground_truth, predictions, once)
    one_class = {**content, "categories": [{"id": CATEGORY}]}
    truth = Truth(one_class, lambda entry: {**entry, "category_id": CATEGORY})
    return match_proposals(truth, results, kinds, own_boxes=own_boxes)


def _read(
    ground_truth: Path, predictions: Path, once: ReadOnce
) -> tuple[dict[str, Any], InstanceResults]:
    """Read and check both files."""
    results = once(index_results, predictions)
    if any(size is not None for size in results.size.values):
        require_masks(results)  # of some alone, nobody can say which were meant
    elif not results.has_boxes:
        raise UserError(f"{predictions}: not all predictions have a 'bbox', and there are no masks")
    needed = ("image_id", "bbox", "area", *(("segmentation",) if results.has_masks else ()))
    content = read_ground_truth(
        ground_truth, {"images": ("id", "height", "width"), "annotations": needed}
    )
    require_known(
        results,
        sizes={image["id"]: (image["height"], image["width"]) for image in content["images"]},
        category_ids=None,
    )
    return content, results
