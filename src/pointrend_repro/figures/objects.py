"""Chooses the objects that the figures show: by the ground truth alone, never by a result."""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco import Annotation, CocoDataset, ImageRecord
from pointrend_repro.data.segmentations import segmentation_mask

# Large enough to show an outline: a share of the image's shorter edge; no stripes or filaments.
_MIN_SIDE = 0.25
_MAX_ASPECT = 2.5
_MIN_FILL = 0.25

CHOICE = (
    "from the validation images by their annotations, never by results: large objects that lie "
    "inside the image and fill at least a quarter of their box, of each image the one with the "
    "most complex outline (perimeter squared over area), and of these the most complex first, with "
    "one of each class before a second of any"
)


@dataclass(frozen=True)
class ShownObject:
    """One annotated object, its box clipped to the image."""

    record: ImageRecord
    annotation: Annotation

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The box, xyxy in pixels of the image."""
        x0, y0, x1, y1 = self.annotation.box
        width, height = self.record.width, self.record.height
        return max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height)

    @property
    def outline(self) -> NDArray[np.float64]:
        """The polygon (P, 2), (x, y) in pixels of the image; `choose_objects` takes no others."""
        assert self.traced is not None
        return self.traced

    @cached_property
    def traced(self) -> NDArray[np.float64] | None:
        """The outline, or None for a mask that has several, such as one with a hole."""
        segmentation = self.annotation.segmentation
        if isinstance(segmentation, dict):
            mask = segmentation_mask(segmentation, self.record.height, self.record.width)
            return _trace(mask.view(np.uint8))
        if len(segmentation) != 1:
            return None
        return np.array(segmentation[0], dtype=np.float64).reshape(-1, 2)


def choose_objects(dataset: CocoDataset, count: int) -> list[ShownObject]:
    """Return up to `count` objects of different images, chosen as `CHOICE` says.

    Only objects whose outline is one polygon are candidates: occluders split the outlines of
    others, and crowds have none. Objects that are not large come last, so that there is
    something to show on any data.

    Raises:
        UserError: no object is a candidate.
    """
    best = [found for record in dataset.images if (found := _best_of(record)) is not None]
    if not best:
        raise UserError(
            "no validation image has an object whose outline is one polygon: there is nothing to "
            "draw figures of; annotate some, or take the figures off the preset"
        )
    best.sort(key=lambda shown: (_rank(shown), shown.record.id))
    seen: Counter[int] = Counter()
    turns = []
    for shown in best:
        label = shown.annotation.label
        turns.append((not _is_large(shown), seen[label]))
        seen[label] += 1
    order = sorted(range(len(best)), key=lambda i: turns[i])  # stable: the best first in each turn
    return [best[i] for i in order[:count]]


def _best_of(record: ImageRecord) -> ShownObject | None:
    objects = [ShownObject(record, a) for a in record.annotations if not a.is_crowd]
    return min((o for o in objects if o.traced is not None), key=_rank, default=None)


def _trace(mask: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Return the outline of a mask (H, W) if it has exactly one."""
    import cv2

    outlines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    # Contours go through pixel centres.
    return outlines[0].reshape(-1, 2).astype(np.float64) + 0.5 if len(outlines) == 1 else None


def _rank(shown: ShownObject) -> tuple[bool, float]:
    """Sort key: large objects before others, complex ones first."""
    return not _is_large(shown), -_complexity(shown.outline)


def _is_large(shown: ShownObject) -> bool:
    x0, y0, x1, y1 = shown.annotation.box
    width, height = shown.record.width, shown.record.height
    short, long = sorted([x1 - x0, y1 - y0])
    is_inside = x0 > 1 and y0 > 1 and x1 < width - 1 and y1 < height - 1
    is_compact = long <= _MAX_ASPECT * short and _area(shown.outline) >= _MIN_FILL * short * long
    return is_inside and is_compact and short >= _MIN_SIDE * min(width, height)


def _complexity(outline: NDArray[np.float64]) -> float:
    """Squared perimeter divided by area: 4 pi for a disc, more for any other shape."""
    edges = np.roll(outline, -1, axis=0) - outline
    perimeter = float(np.hypot(*edges.T).sum())
    area = _area(outline)
    # An area below a pixel is an annotation error, not an outline to show.
    return perimeter**2 / area if area >= 1 else -math.inf


def _area(outline: NDArray[np.float64]) -> float:
    x, y = outline.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
