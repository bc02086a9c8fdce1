"""What a model found in one picture, as it is kept on disk, and as COCO's results."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pointrend_repro.api.loading import Model
from pointrend_repro.predictions.instances import Instances
from pointrend_repro.predictions.label_maps import LabelMap
from pointrend_repro.predictions.mask_proposals import CATEGORY_ID, MaskProposals

PROPOSAL = "proposal"


def objects_of(
    found: Instances | MaskProposals, model: Model, *, score_threshold: float
) -> list[dict[str, Any]]:
    """Return the objects of one picture in COCO's results format, highest-scoring first.

    Each has `category_id`, `category_name`, `score`, `bbox` (xywh) and, if the model predicts them,
    `segmentation` (RLE at the picture's size) and `keypoints`, in pixels of the picture.
    """
    labels = None if isinstance(found, MaskProposals) else found.labels
    points = None if isinstance(found, MaskProposals) else found.keypoints
    objects = []
    for k in np.flatnonzero(found.scores >= score_threshold).tolist():
        category = (CATEGORY_ID, PROPOSAL) if labels is None else model.categories[labels[k]]
        x0, y0, x1, y1 = found.boxes[k].tolist()
        entry = {
            "category_id": category[0],
            "category_name": category[1],
            "score": float(found.scores[k]),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
        }
        if isinstance(found, MaskProposals):
            entry["segmentation"] = found.segmentations[k]
        elif found.masks is not None:
            entry["segmentation"] = _rle(found.masks[k])
        if points is not None:
            # COCO's x and y are indices of pixels, whose centres lie half a pixel further.
            entry["keypoints"] = (points[k] - [0.5, 0.5, 0.0]).ravel().tolist()
        objects.append(entry)
    return objects


def shares_of(found: LabelMap, model: Model) -> list[dict[str, Any]]:
    """Return the classes in a label map, the largest first, with their share of the pixels."""
    counts = np.bincount(found.labels.ravel(), minlength=len(model.categories))
    largest_first = np.argsort(-counts, kind="stable")
    return [
        {
            "category_id": model.categories[k][0],
            "category_name": model.categories[k][1],
            "share": float(counts[k] / found.labels.size),
        }
        for k in largest_first.tolist()
        if counts[k]
    ]


def category_ids(found: LabelMap, categories: Sequence[tuple[int, str]]) -> NDArray[np.uint8]:
    """Return a label map (H, W) of category ids, as label images hold them."""
    ids: NDArray[np.uint8] = np.array([number for number, _ in categories], dtype=np.uint8)
    return ids[found.labels]


def _rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")}
