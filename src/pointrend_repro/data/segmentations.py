"""From COCO's polygons and run lengths to pixels."""

from collections.abc import MutableSequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils

from pointrend_repro.data.coco_checks import FARTHEST_PX, is_far_out

# Polygons, each x, y, x, y, ... in pixels, or a run-length encoding.
Segmentation = list[list[float]] | list[MutableSequence[float]] | dict[str, Any]


@dataclass(frozen=True)
class SegmentationWindow:
    """The part of a mask that holds the object, as pixels (h, w) bool; all else is background.

    Attributes:
        pixels: possibly empty.
        top: the image row of the first row.
        left: the image column of the first column.
    """

    pixels: np.ndarray
    top: int
    left: int


def segmentation_rle(segmentation: Segmentation, height: int, width: int) -> dict[str, Any]:
    """Return polygons (their union) or an RLE as one compressed RLE of pycocotools.

    Raises:
        ValueError: an RLE has another size than the image, or a polygon leads so far out that
            pycocotools would crash. `read_coco` and scorers have refused it, and named it.
    """
    rle: dict[str, Any]
    if isinstance(segmentation, list):
        if any(is_far_out(polygon) for polygon in segmentation):
            raise ValueError(f"a polygon reaches beyond {FARTHEST_PX} pixels")
        rle = mask_utils.merge(mask_utils.frPyObjects(segmentation, height, width))
        return rle
    if list(segmentation["size"]) != [height, width]:
        raise ValueError(f"RLE of size {segmentation['size']}, not {[height, width]}")
    compressed = not isinstance(segmentation["counts"], list)
    rle = segmentation if compressed else mask_utils.frPyObjects(segmentation, height, width)
    return rle


def segmentation_area(segmentation: Segmentation) -> float:
    """Return an object's area in pixels; that of polygons by their outline, as COCO states it."""
    if isinstance(segmentation, list):
        return sum(_polygon_area(np.array(polygon).reshape(-1, 2)) for polygon in segmentation)
    if isinstance(segmentation["counts"], list):
        return float(sum(segmentation["counts"][1::2]))
    return float(mask_utils.area(segmentation))


def _polygon_area(points: np.ndarray) -> float:
    x, y = (points - points[0]).T  # near zero, so that large coordinates lose no digits
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def segmentation_mask(segmentation: Segmentation, height: int, width: int) -> np.ndarray:
    """Rasterise polygons, or decode an RLE, as pycocotools does.

    Returns:
        bool array (height, width), the union of an object's polygons.

    Raises:
        ValueError: as in `segmentation_rle`.
    """
    rle = segmentation_rle(segmentation, height, width)
    return np.ascontiguousarray(mask_utils.decode(rle), dtype=bool)


def segmentation_window(segmentation: Segmentation, height: int, width: int) -> SegmentationWindow:
    """Return what `segmentation_mask` returns, without the background around the object.

    Raises:
        ValueError: as in `segmentation_rle`.
    """
    rle = segmentation_rle(segmentation, height, width)
    left, top, columns, rows = (int(v) for v in mask_utils.toBbox(rle))
    pixels = mask_utils.decode(rle)[top : top + rows, left : left + columns]
    # A copy, so that the image-size array is freed before the next object is decoded.
    return SegmentationWindow(np.array(pixels, dtype=bool, order="C"), top, left)
