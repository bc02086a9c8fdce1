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

# A right box that is larger than its mask (of an object that is partly hidden) looks like corners
# where it is too wide by its own x and too high by its own y: in whole pixels, near the image's
# corner, one in a hundred does. So either a file's boxes fit their masks far better as corners: by
# this much IoU in the mean, which those of a tool that writes corners do (by 0.4 to 0.9 on COCO,
# also if they are drawn up to 10 pixels too large), and partly hidden objects do not (up to 0.23,
# all of them within 10 pixels of the corner). Or the masks show this share of the boxes, as in a
# file that was put together from two.
_FAR_BETTER, _MANY = 0.3, 0.25
# Boxes that differ by no more than this are the same in both forms.
_ROUNDING_PX = 1.0

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

    Where the masks show boxes to be corners, no box is clearly not, and the boxes fit far better as
    corners, all that fit better are rewritten. Else those that the masks show are, if they are
    many. Near the image's corner the two forms are alike, and tell nothing.
    """
    pairs = [pair for entry in annotations_of(document) if (pair := _pair(entry, sizes))]
    telling = [pair for pair in pairs if max(pair[0][:2]) > _ROUNDING_PX]
    count = sum(shown_as_corners(*pair) for pair in telling)
    if not count:
        return Mended(document)
    gained = sum(_iou_as_corners(*pair) - iou(*pair) for pair in telling)
    mixed = gained < _FAR_BETTER * len(telling) or any(_plain_sides(*pair) for pair in telling)
    if mixed and count < _MANY * len(telling):
        return Mended(document, left=(_few_line(count, len(telling)),))

    def mend(entry: Entry) -> tuple[Entry, str | None]:
        pair = _pair(entry, sizes)
        if pair is None:
            return entry, None
        better = shown_as_corners(*pair) if mixed else _iou_as_corners(*pair) > iou(*pair)
        x0, y0, x1, y1 = entry["bbox"]
        return (entry | {"bbox": [x0, y0, x1 - x0, y1 - y0]}, _CORNERS) if better else (entry, None)

    return mend_each(document, "annotations", mend)


def _few_line(count: int, of: int) -> str:
    return (
        f"{count} of {of} boxes would fit their mask as [x0, y0, x1, y1]; that few may do so by "
        "chance, so look at them"
    )


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


def _iou_as_corners(box: Box, around: Box) -> float:
    x0, y0, x1, y1 = corners = _corners(box)
    return iou(corners, around) if x1 > x0 and y1 > y0 else 0.0


def _plain_sides(box: Box, around: Box) -> bool:
    return iou(box, around) >= 0.9 and _iou_as_corners(box, around) < 0.5
