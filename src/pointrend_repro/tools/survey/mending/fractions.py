"""Coordinates that are fractions of the image, as in YOLO, instead of pixels."""

from typing import Any

from pointrend_repro.data.coco_checks import box_problem
from pointrend_repro.data.drawn import extent
from pointrend_repro.tools.survey.mending.boxes import mask_size
from pointrend_repro.tools.survey.mending.entries import (
    Document,
    Entry,
    Mended,
    annotations_of,
    image_sizes,
    mend_each,
)
from pointrend_repro.tools.survey.mending.keypoints import in_fractions, moved

_KIND = "outlines in fractions of the image"


def in_pixels(document: Document) -> Mended:
    """Multiply by the image sizes if all outlines of a file lie in the first pixel.

    Boxes and keypoints in fractions are converted too; areas are then taken from the masks.
    """
    sizes = image_sizes(document)
    outlines = [
        entry["segmentation"]
        for entry in annotations_of(document)
        if isinstance(entry.get("segmentation"), list) and mask_size(entry, sizes) is not None
    ]
    if not outlines or not all(_is_in_fractions(outline) for outline in outlines):
        return Mended(document)

    def mend(entry: Entry) -> tuple[Entry, str | None]:
        size = mask_size(entry, sizes)
        if size is None or not isinstance(entry["segmentation"], list):
            return entry, None
        new = {key: value for key, value in entry.items() if key != "area"}
        new["segmentation"] = [_scaled(polygon, size) for polygon in entry["segmentation"]]
        box = entry.get("bbox")
        if box_problem(box) is None and max(entry["bbox"]) <= 1:
            new["bbox"] = _scaled(entry["bbox"], size)
        if in_fractions(entry):
            height, width = size
            new = moved(new, lambda x, y: (x * width, y * height), was_index=False)
        return new, _KIND

    return mend_each(document, "annotations", mend)


def _is_in_fractions(polygons: Any) -> bool:
    x0, y0, x1, y1 = extent(polygons, (1, 1)) or (0, 0, 0, 0)
    return min(x0, y0) >= 0 and max(x1, y1) <= 1


def _scaled(numbers: list[float], size: tuple[int, int]) -> list[float]:
    """x, y, x, y, ... times width and height."""
    height, width = size
    return [number * (height if k % 2 else width) for k, number in enumerate(numbers)]
