"""Moves an object that was drawn on an image as stored onto the upright image."""

from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
from PIL import Image

from pointrend_repro.data.coco_checks import segmentation_problem
from pointrend_repro.data.drawn import extent
from pointrend_repro.data.segmentations import Segmentation, segmentation_mask
from pointrend_repro.tools.survey.mending.boxes import bbox
from pointrend_repro.tools.survey.mending.entries import Entry
from pointrend_repro.tools.survey.mending.keypoints import moved
from pointrend_repro.tools.survey.mending.pictures import Header


def turned(entry: Entry, header: Header) -> Entry:
    """Return an annotation with its outline and keypoints turned, and the box around it.

    Args:
        entry: with well-formed polygons or an RLE.
        header: of the image, which has a `turn`.
    """
    width, height = header.stored
    segmentation: Segmentation = entry["segmentation"]
    if segmentation_problem(segmentation, (height, width)) is not None:
        return entry
    if isinstance(segmentation, list):
        new: Segmentation = [
            [v for x, y in zip(p[::2], p[1::2], strict=True) for v in turned_point(x, y, header)]
            for p in segmentation
        ]
    else:
        new = _turned_rle(segmentation, header)
    around = extent(new, header.upright[::-1])
    entry = moved(entry, lambda x, y: turned_point(x, y, header))
    return entry | {"segmentation": new} | ({"bbox": bbox(around)} if around else {})


def turned_point(x: float, y: float, header: Header) -> tuple[float, float]:
    """Return where a point of the stored image, in pixels, lies on the upright one."""
    width, height = header.stored
    if header.turn is None:
        return x, y
    return {
        Image.Transpose.FLIP_LEFT_RIGHT: (width - x, y),
        Image.Transpose.ROTATE_180: (width - x, height - y),
        Image.Transpose.FLIP_TOP_BOTTOM: (x, height - y),
        Image.Transpose.TRANSPOSE: (y, x),
        Image.Transpose.ROTATE_270: (height - y, x),
        Image.Transpose.TRANSVERSE: (height - y, width - x),
        Image.Transpose.ROTATE_90: (y, width - x),
    }[header.turn]


def _turned_rle(rle: dict[str, Any], header: Header) -> dict[str, Any]:
    width, height = header.stored
    mask = Image.fromarray(segmentation_mask(rle, height, width).astype(np.uint8))
    pixels = np.asarray(mask if header.turn is None else mask.transpose(header.turn))
    encoded = mask_utils.encode(np.asfortranarray(pixels))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")}
