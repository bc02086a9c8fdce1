"""Objects that several models have found in one image, pooled before a last NMS.

All objects compete, class by class, by their scores times the weight of their model. Masks and
keypoints are taken as they are and never merged, as in the 3D-FUTURE report's ensembles.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pycocotools.mask as mask_utils
import torch
from torch import Tensor
from torchvision.ops import nms as suppress

from pointrend_repro.modeling.soft_nms import decayed, soft_suppress
from pointrend_repro.settings.at_test import Nms

# One object in COCO's results format.
Result = dict[str, Any]

Overlap = Literal["boxes", "masks"]

# Below this soft-NMS drops an object, as in the report's published code: of a score that has been
# multiplied by a model's weight.
LEAST_SCORE = 0.001


def pool(
    found: Sequence[Sequence[Result]],
    weights: Sequence[float],
    *,
    nms: Nms,
    nms_iou: float,
    count: int,
    overlap: Overlap = "boxes",
) -> list[Result]:
    """Return what is left of all that several models have found in an image, best first.

    Args:
        found: of each model, entries with `category_id`, `bbox` (xywh) and `score`, at least.
        weights: of each model.
        nms: whether a box that a better one of its class overlaps goes, or has its score lowered.
        nms_iou: an overlap that still does nothing.
        count: how many objects there are at most.
        overlap: whether boxes or masks are compared; entries then have a `segmentation`,
            compressed RLE of the image's size.
    """
    results = [result for each in found for result in each]
    factors = [weight for each, weight in zip(found, weights, strict=True) for _ in each]
    # In 64 bits, since adding a width to a corner again gives the other corner exactly.
    boxes = torch.tensor([r["bbox"] for r in results], dtype=torch.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    scores = torch.tensor([r["score"] for r in results]) * torch.tensor(factors)
    labels = _labels(results)
    if overlap == "masks":
        left = _scores_by_masks(results, scores, labels, nms=nms, nms_iou=nms_iou)
        left, keep = left.sort(descending=True, stable=True)
        kept = left >= LEAST_SCORE if nms == "soft_linear" else left >= 0
        keep, left = keep[kept], left[kept]
    elif nms == "soft_linear":
        keep, left = soft_suppress(boxes.float(), scores, labels, iou=nms_iou, least=LEAST_SCORE)
    else:
        keep = _best_of_each(boxes, scores, labels, nms_iou)
        left = scores[keep]
    rows = zip(keep.tolist(), left.tolist(), strict=True)
    return [results[i] | {"score": score} for i, score in list(rows)[:count]]


def _labels(results: Sequence[Result]) -> Tensor:
    """Return a number (N,) for each object's class, from 0 up: ids may be larger than 64 bits."""
    numbers: dict[Any, int] = {}
    found = [numbers.setdefault(result["category_id"], len(numbers)) for result in results]
    return torch.tensor(found, dtype=torch.int64)


def _best_of_each(boxes: Tensor, scores: Tensor, labels: Tensor, iou: float) -> Tensor:
    """Return the indices of the boxes that no better one of their class overlaps, best first.

    Class by class: torchvision's `batched_nms` moves classes apart by their number times the
    largest coordinate, which takes digits from the overlaps, and all of them if an id is large.
    """
    kept = [labels[:0]]
    for label in labels.unique():
        (of_class,) = torch.nonzero(labels == label, as_tuple=True)
        kept.append(of_class[suppress(boxes[of_class], scores[of_class].double(), iou)])
    keep = torch.cat(kept).sort().values  # so that the first of equal scores stays the first
    return keep[scores[keep].argsort(descending=True, stable=True)]


def _scores_by_masks(
    results: Sequence[Result], scores: Tensor, labels: Tensor, *, nms: Nms, nms_iou: float
) -> Tensor:
    """Return the new scores (N,) of objects, -1 for one that is dropped."""
    new = scores.clone()
    for label in labels.unique():
        (of_class,) = torch.nonzero(labels == label, as_tuple=True)
        masks = [results[i]["segmentation"] for i in of_class.tolist()]
        overlaps = torch.from_numpy(mask_utils.iou(masks, masks, [0] * len(masks))).float()
        if nms == "soft_linear":
            left = decayed(overlaps, scores[of_class], iou=nms_iou, least=LEAST_SCORE)
            new[of_class] = left
        else:
            new[of_class[_dropped(overlaps, scores[of_class], nms_iou)]] = -1
    return new


def _dropped(overlaps: Tensor, scores: Tensor, iou: float) -> Tensor:
    """Return which objects (N,) a better one that stays overlaps by more than `iou`."""
    covers = (overlaps > iou).numpy()
    gone = np.zeros(len(scores), dtype=bool)
    for best in scores.argsort(descending=True, stable=True).tolist():
        if not gone[best]:
            covers[best, best] = False  # itself
            gone |= covers[best]
    return torch.from_numpy(gone)
