"""Whether an object's mask, once drawn, is usable, and whether its box fits it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pointrend_repro.data.drawn import TOLERATED_SHARE, Box, draw, drawn_fault, extent
from pointrend_repro.tools.survey.content import SurveyedObject
from pointrend_repro.tools.survey.findings import Finding, fault, oddity

NO_PIXEL = "masks without a pixel"

# COCO's own boxes exceed their images by rounding.
_ROUNDING_PX = 1.0
# Tools that write boxes in whole pixels round them by no more than this.
_EXACT_PX = 0.5
# A box and the extent of its mask that overlap less than this do not belong together.
_SAME_IOU, _OTHER_IOU = 0.9, 0.5
# COCO's areas are those of outlines; of a few pixels, an outline and what is drawn differ much.
_COMPARED_PX = 16
_FAR_AREA = 2


def mask_findings(
    found: SurveyedObject, segmentation: Any, size: tuple[int, int], name: str
) -> Iterator[Finding]:
    """Draw an object, and yield its faults and oddities.

    Args:
        segmentation: well-formed.
        size: (H, W) of its image in pixels.
        name: the file and the annotation, for the text.
    """
    drawn = draw(segmentation, size)
    wrong = drawn_fault(drawn, found.box)
    around = extent(segmentation, size)
    if around is None or wrong == "less than a pixel":
        yield oddity(NO_PIXEL, f"{name} covers less than a pixel: not used in training")
    elif wrong == "outside its image":
        yield fault(
            "masks outside their image",
            f"{name} has its mask at {rounded(around)} (x0, y0, x1, y1), its image has "
            f"{size[1]}x{size[0]} pixels; correct the coordinates",
        )
    elif shown_as_corners(found.box, around):
        yield _corners(found.box, around, name)
    elif wrong == "outside its box":
        yield fault(
            "masks mostly outside their box",
            f"{name} has bbox {rounded(found.box)} (x0, y0, x1, y1), its mask lies at "
            f"{rounded(around)}; correct one of the two",
        )
    else:
        yield from _box_oddities(found.box, around, size, name)
    yield from _area_oddity(found.area, drawn.area if drawn else 0, name)


def _corners(box: Box, around: Box, name: str) -> Finding:
    """Return what is wrong with a box that would fit its mask as corners.

    Where it also fits as it is, it may be a right one that is larger than its mask.
    """
    if iou(box, around) < _OTHER_IOU:
        text = f"{name} has bbox [x0, y0, x1, y1]; COCO's is [x, y, width, height]"
        return fault("boxes written as corners", text)
    return oddity(
        "boxes that may be written as corners",
        f"{name} has a bbox that would fit its mask as [x0, y0, x1, y1]; it is read as [x, y, "
        "width, height], which COCO's is",
    )


def _area_oddity(area: float, pixels: int, name: str) -> Iterator[Finding]:
    """Yield what is odd about an annotated area, by which scorers sort objects into sizes."""
    if area == 0 and pixels:
        yield oddity(
            "areas of 0",
            f"{name} has area 0, its mask {pixels} pixels, which `pointrend-repro data mend` takes",
        )
    elif pixels >= _COMPARED_PX and not (pixels <= _FAR_AREA * area and area <= _FAR_AREA * pixels):
        yield oddity(
            "areas that do not fit their mask",
            f"{name} has area {area:g}, its mask {pixels} pixels: AP of small, medium and "
            "large objects goes by the area",
        )


def empty_split(empty: int, objects: int, path: Path) -> Iterator[Finding]:
    """Yield a fault if more objects of a file have no pixel than the pipeline accepts.

    Args:
        empty: how many have none.
        objects: how many the file has; neither counts crowd regions.
    """
    if empty <= TOLERATED_SHARE * objects:
        return
    advice = (
        "are coordinates fractions of the image? COCO's are pixels"
        if 2 * empty > objects
        else f"{TOLERATED_SHARE:.0%} may be: draw the others larger, or let `pointrend-repro data "
        "mend --drop-empty` take them out"
    )
    text = f"{path}: {empty} of {objects} objects; {advice}"
    yield fault("files with too many masks without a pixel", text)


def rectangles(count: int, objects: int, path: Path) -> Iterator[Finding]:
    """Yield an oddity if most objects of a file are rectangles: tools write boxes as outlines, too.

    Args:
        count: how many of them are, by `is_rectangle`.
    """
    if 2 * count > objects:
        yield oddity(
            "files whose masks are mostly rectangles",
            f"{path}: {count} of {objects} objects; if boxes were drawn, no outline can be learnt",
        )


def is_rectangle(segmentation: Any) -> bool:
    """Whether a well-formed segmentation is the outline of one upright rectangle."""
    if not isinstance(segmentation, list) or len(segmentation) != 1:
        return False
    xs, ys = segmentation[0][::2], segmentation[0][1::2]
    return len(xs) in (4, 5) and len(set(xs)) == len(set(ys)) == 2


def shown_as_corners(box: Box, around: Box) -> bool:
    """Whether a mask shows that its `bbox` was written as corners.

    Args:
        box: (x0, y0, x1, y1) in pixels, the bbox read as [x, y, width, height].
        around: (x0, y0, x1, y1) in pixels around the mask.
    """
    x0, y0, x1, y1 = box
    # A box written as corners is read as too wide and too high by its own corner's coordinates.
    corners = (x0, y0, x1 - x0, y1 - y0)
    if corners[2] <= x0 or corners[3] <= y0:
        return False
    if _apart(corners, around) <= _EXACT_PX and _apart(box, around) > _ROUNDING_PX:
        return True
    return iou(box, around) < _OTHER_IOU and iou(corners, around) >= _SAME_IOU


def _apart(a: Box, b: Box) -> float:
    return max(abs(ours - theirs) for ours, theirs in zip(a, b, strict=True))


def iou(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes (x0, y0, x1, y1); 1 for two empty ones."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b)) - shared
    return shared / union if union > 0 else 1.0


def rounded(box: Box) -> list[int]:
    """Return a box in whole pixels, for a message."""
    return [round(side) for side in box]


def _box_oddities(box: Box, around: Box, size: tuple[int, int], name: str) -> Iterator[Finding]:
    height, width = size
    if iou(box, around) < _OTHER_IOU:
        yield oddity(
            "boxes that do not fit their mask",
            f"{name} has bbox {rounded(box)} (x0, y0, x1, y1), its mask {rounded(around)}",
        )
    over = max(-box[0], -box[1], box[2] - width, box[3] - height)
    if over > _ROUNDING_PX:
        yield oddity("boxes that reach out of the image", f"{name} by {over:.0f} px; it is clipped")
