"""Boxes and areas: taken from the mask if they are absent or written in another form."""

from collections.abc import Mapping
from typing import Any

from pointrend_repro.data.coco_checks import box_problem, segmentation_problem
from pointrend_repro.data.drawn import Box, draw, extent
from pointrend_repro.tools.survey.masks import iou, shown_as_corners
from pointrend_repro.tools.survey.mending.entries import (
    Document,
    Entry,
    Mended,
    annotations_of,
    image_sizes,
    mend_each,
)

_ABSENT = "boxes that were absent or none, from the mask"
_CORNERS = "boxes written as corners"
_AREA = "areas that were absent, 0 or negative, from the mask"

_Sizes = Mapping[int, tuple[int, int]]


def boxes_and_areas(document: Document) -> Mended:
    """Take absent values from the masks, and read boxes as they were meant.

    A box that fits its mask badly in any other way stays: it is unknown which of the two is wrong.
    """
    sizes = image_sizes(document)
    return (
        _as_sides(document, sizes)
        .then(lambda d: mend_each(d, "annotations", lambda e: _box(e, sizes)))
        .then(lambda d: mend_each(d, "annotations", lambda e: _area(e, sizes)))
    )


def bbox(around: Box) -> list[float]:
    """Return [x, y, width, height] of (x0, y0, x1, y1)."""
    return [around[0], around[1], around[2] - around[0], around[3] - around[1]]


def mask_size(entry: Entry, sizes: _Sizes) -> tuple[int, int] | None:
    """Return (H, W) of an annotation's image if its mask is well-formed for it."""
    key = entry.get("image_id")
    size = sizes.get(key) if type(key) is int else None
    if size is None or segmentation_problem(entry.get("segmentation"), size) is not None:
        return None
    return size


def _box(entry: Entry, sizes: _Sizes) -> tuple[Entry, str | None]:
    size = mask_size(entry, sizes)
    if size is None or box_problem(entry.get("bbox")) is None:
        return entry, None
    around = extent(entry["segmentation"], size)
    if around is None or box_problem(bbox(around)) is not None:
        return entry, None
    return entry | {"bbox": bbox(around)}, _ABSENT


def _area(entry: Entry, sizes: _Sizes) -> tuple[Entry, str | None]:
    value: Any = entry.get("area")
    size = mask_size(entry, sizes)
    if size is None or (type(value) in (int, float) and value > 0):
        return entry, None
    drawn = draw(entry["segmentation"], size)
    if drawn is None or not drawn.area:
        return entry, None
    return entry | {"area": drawn.area}, _AREA


def _as_sides(document: Document, sizes: _Sizes) -> Mended:
    """Rewrite boxes [x0, y0, x1, y1] as [x, y, width, height].

    A box is rewritten if its mask shows it to be corners; and if no box of the file is clearly
    not, so are all boxes that fit their mask better as corners: near the image's corner the two
    forms are alike.
    """
    pairs = [pair for entry in annotations_of(document) if (pair := _pair(entry, sizes))]
    if not any(shown_as_corners(*pair) for pair in pairs):
        return Mended(document)
    mixed = any(_plain_sides(*pair) for pair in pairs)

    def mend(entry: Entry) -> tuple[Entry, str | None]:
        pair = _pair(entry, sizes)
        if pair is None:
            return entry, None
        better = shown_as_corners(*pair) if mixed else _fits_as_corners(*pair)
        x0, y0, x1, y1 = entry["bbox"]
        return (entry | {"bbox": [x0, y0, x1 - x0, y1 - y0]}, _CORNERS) if better else (entry, None)

    return mend_each(document, "annotations", mend)


def _pair(entry: Entry, sizes: _Sizes) -> tuple[Box, Box] | None:
    """The box, read as [x, y, width, height], and the mask's extent, as corners."""
    value: Any = entry.get("bbox")
    size = mask_size(entry, sizes)
    if size is None or box_problem(value) is not None:
        return None
    around = extent(entry["segmentation"], size)
    x, y, width, height = value
    return None if around is None else ((x, y, x + width, y + height), around)


def _corners(box: Box) -> Box:
    """What (x, y, x + a, y + b) would be if [x, y, a, b] were corners."""
    return box[0], box[1], box[2] - box[0], box[3] - box[1]


def _fits_as_corners(box: Box, around: Box) -> bool:
    x0, y0, x1, y1 = corners = _corners(box)
    return x1 > x0 and y1 > y0 and iou(corners, around) > iou(box, around)


def _plain_sides(box: Box, around: Box) -> bool:
    x0, y0, x1, y1 = corners = _corners(box)
    valid = x1 > x0 and y1 > y0
    return iou(box, around) >= 0.9 and (not valid or iou(corners, around) < 0.5)
