"""What a mask looks like once it is drawn: where it lies, and whether anything of it is left.

A segmentation may be well-formed and still be useless: coordinates of another image, fractions of
its size, another object's box. Drawing all 860 000 of COCO's takes about 16 seconds.
"""

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

import pycocotools.mask as mask_utils

from pointrend_repro.data.coco import Annotation, CocoDataset, ImageRecord
from pointrend_repro.data.segmentations import Segmentation, segmentation_rle

Box = tuple[float, float, float, float]
DrawnFault = Literal["outside its image", "less than a pixel", "outside its box"]

# Tiny objects draw no pixel, in the official COCO too, so a few such masks are accepted.
TOLERATED_SHARE = 0.01
# COCO's own outlines and boxes exceed their images by rounding, and pixels exceed their box.
_ROUNDING_PX = 1.0
# pycocotools walks along an outline in fifths of a pixel, wherever it leads.
_FAR_OUT = 10


class Drawn(NamedTuple):
    """A mask in pixels.

    Attributes:
        rle: compressed, as in pycocotools.
        area: in pixels.
        box: (x0, y0, x1, y1) around the mask, in pixels; all 0 if it is empty.
    """

    rle: dict[str, object]
    area: int
    box: Box


def extent(segmentation: Segmentation, size: tuple[int, int]) -> Box | None:
    """Return (x0, y0, x1, y1) around polygons or a mask, in pixels, not clipped.

    None for an RLE without a pixel.
    """
    if isinstance(segmentation, list):
        xs = [x for polygon in segmentation for x in polygon[::2]]
        ys = [y for polygon in segmentation for y in polygon[1::2]]
        return min(xs), min(ys), max(xs), max(ys)
    drawn = _drawn(segmentation, size)
    return drawn.box if drawn.area else None


def draw(segmentation: Segmentation, size: tuple[int, int]) -> Drawn | None:
    """Draw a well-formed segmentation (`segmentation_problem`) into an image of `size` (H, W).

    Returns:
        None where polygons lie wholly outside the image, or extend absurdly far beyond it.
    """
    if isinstance(segmentation, list):
        around = extent(segmentation, size)
        if around is None or _is_outside(around, size):
            return None
    return _drawn(segmentation, size)


def drawn_fault(drawn: Drawn | None, box: Box) -> DrawnFault | None:
    """Return what is wrong with an object once it is drawn, or None.

    Args:
        drawn: by `draw`.
        box: (x0, y0, x1, y1) in pixels, as annotated.
    """
    if drawn is None:
        return "outside its image"
    if not drawn.area:
        return "less than a pixel"
    return None if _mostly_within(drawn, box) else "outside its box"


def object_fault(annotation: Annotation, image: ImageRecord) -> DrawnFault | None:
    """Return what is wrong with an object of an image once it is drawn, or None.

    Crowd regions have no faults: nothing is learned of them.
    """
    if annotation.is_crowd:
        return None
    drawn = draw(annotation.segmentation, (image.height, image.width))
    return drawn_fault(drawn, annotation.box)


def drawn_faults(dataset: CocoDataset) -> Iterable[tuple[int, Annotation, DrawnFault]]:
    """Yield the image id and fault of each faulty object of a data set, except crowd regions.

    Trainings leave out the same ones, by `object_fault` or what it consists of, whenever they make
    an example: to draw all objects before a training would take as long as this does.
    """
    for image in dataset.images:
        for annotation in image.annotations:
            fault = object_fault(annotation, image)
            if fault is not None:
                yield image.id, annotation, fault


def _drawn(segmentation: Segmentation, size: tuple[int, int]) -> Drawn:
    rle = segmentation_rle(segmentation, *size)
    x, y, width, height = (float(side) for side in mask_utils.toBbox(rle))
    return Drawn(rle, int(mask_utils.area(rle)), (x, y, x + width, y + height))


def _is_outside(around: Box, size: tuple[int, int]) -> bool:
    height, width = size
    over = max(-around[0], -around[1], around[2] - width, around[3] - height)
    apart = max(-around[2], -around[3], around[0] - width, around[1] - height)
    return apart > _ROUNDING_PX or over > _FAR_OUT * (height + width)


def _mostly_within(drawn: Drawn, box: Box) -> bool:
    x0, y0 = (math.floor(side - _ROUNDING_PX) for side in box[:2])
    x1, y1 = (math.ceil(side + _ROUNDING_PX) for side in box[2:])
    left, top, right, bottom = drawn.box
    if x0 <= left and y0 <= top and right <= x1 and bottom <= y1:
        return True  # nearly always, and known without the pixels
    pixels = mask_utils.decode(drawn.rle)
    within = pixels[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)].sum()
    return bool(2 * within >= drawn.area)
