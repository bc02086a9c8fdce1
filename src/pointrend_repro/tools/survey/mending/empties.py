"""Objects of which there is nothing to learn or to find: without an outline, or without a pixel."""

from collections import Counter
from collections.abc import Mapping

from pointrend_repro.data.coco_checks import MIN_COORDINATES, segmentation_problem
from pointrend_repro.data.drawn import draw
from pointrend_repro.tools.survey.mending.entries import Document, Entry, Mended, image_sizes

_KIND = "objects without a mask, taken out (--drop-empty)"


def without_empty(document: Document) -> Mended:
    """Take out objects whose mask is absent or covers less than a pixel.

    What was meant cannot be told, and in training the place becomes background, so it has to be
    asked for. Crowd regions stay.
    """
    sizes = image_sizes(document)
    kept = [e for e in document["annotations"] if not isinstance(e, dict) or _is_kept(e, sizes)]
    count = len(document["annotations"]) - len(kept)
    if not count:
        return Mended(document)
    return Mended(document | {"annotations": kept}, Counter({_KIND: count}))


def _is_kept(entry: Entry, sizes: Mapping[int, tuple[int, int]]) -> bool:
    if entry.get("iscrowd") == 1:
        return True
    outline, image = entry.get("segmentation"), entry.get("image_id")
    if not outline:
        return False
    if isinstance(outline, list) and all(
        isinstance(part, list) and len(part) < MIN_COORDINATES for part in outline
    ):
        return False
    size = sizes.get(image) if type(image) is int else None
    if size is None or segmentation_problem(outline, size) is not None:
        return True
    drawn = draw(outline, size)
    return drawn is None or drawn.area > 0  # None: outside its image, which may be an error
