"""Selective Search: regions of an image, grouped until one is left, propose their boxes.

Uijlings et al., "Selective Search for Object Recognition", IJCV 2013. Nothing is trained. OpenCV's
contrib modules have the first regions (Felzenszwalb and Huttenlocher's) and the similarities. Its
grouping is not used: it ranks regions the other way round than the paper, by C's `rand()`.
docs/sharpmask.md has the differences from the authors' MATLAB code.
"""

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Mode = Literal["fast", "quality"]
Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # xyxy

_SIGMA = 0.8  # of the Gaussian that smooths the image first (section 5.1)


class Diversity(NamedTuple):
    """What the groupings of an image differ in: each combination is one (table 5)."""

    colors: tuple[str, ...]
    thresholds: tuple[int, ...]  # k: the larger, the larger are the first regions
    similarities: tuple[tuple[str, ...], ...]


_CTSF, _TSF = ("color", "texture", "size", "fill"), ("texture", "size", "fill")
MODES: dict[Mode, Diversity] = {
    "fast": Diversity(("hsv", "lab"), (50, 100), (_CTSF, _TSF)),
    "quality": Diversity(
        ("hsv", "lab", "rgi", "hue", "grey"),
        (50, 100, 150, 300),
        (_CTSF, _TSF, ("fill",), ("size",)),
    ),
}


@dataclass(frozen=True)
class FirstRegions:
    """The regions that a grouping begins with. R regions.

    Attributes:
        labels: (H, W) int32, the region of each pixel.
        sizes: (R, 1) int32, in pixels.
        boxes: of each, in pixels.
        neighbours: the regions that touch each, also by a corner.
    """

    labels: NDArray[np.int32]
    sizes: NDArray[np.int32]
    boxes: list[Box]
    neighbours: list[set[int]]


def search(image: Pixels, mode: Mode, rng: np.random.Generator) -> tuple[NDArray[np.int32], Any]:
    """Propose boxes in an RGB image, (H, W, 3).

    A region's place is its number in its grouping, counted from the last, which is the whole image.
    Boxes are in the order of their places times a random number each (section 4.3, "combining
    locations"); of equal boxes the first is kept.

    Returns:
        Boxes (P, 4), xyxy in pixels, best first, and their scores (P,), falling, in (0, 1].
    """
    ways = MODES[mode]
    boxes: list[Box] = []
    places: list[int] = []
    for grouped in _groupings(_in_colors(image, ways.colors), ways.thresholds, ways.similarities):
        boxes += grouped
        places += range(len(grouped), 0, -1)
    found = np.array(boxes, dtype=np.int32).reshape(-1, 4)
    ranks = np.array(places) * rng.random(len(places))
    order = np.argsort(ranks, kind="stable")
    _, first = np.unique(found[order], axis=0, return_index=True)
    kept = order[np.sort(first)]
    return found[kept], 1 / (1 + ranks[kept])


def _groupings(
    images: Sequence[Pixels],
    thresholds: Sequence[int],
    similarities: Sequence[tuple[str, ...]],
) -> Iterator[list[Box]]:
    measures = [measure_of(names) for names in similarities]
    for number, (image, k) in enumerate(itertools.product(images, thresholds)):
        start = first_regions(image, k, min_size=k)
        for measure in measures:
            yield group(measure, image, start, number)


def _in_colors(image: Pixels, colors: Sequence[str]) -> list[Pixels]:
    hsv = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL), dtype=np.uint8)
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    total = np.maximum(image.sum(axis=2, keepdims=True, dtype=np.float32), 1)
    red_green = np.rint(image[:, :, :2] * (255 / total)).astype(np.uint8)
    known = {
        "hsv": hsv,
        "lab": np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2Lab), dtype=np.uint8),
        "rgi": np.dstack([red_green, grey]),
        "hue": np.ascontiguousarray(hsv[:, :, 0]),
        "grey": grey,
    }
    return [known[name] for name in colors]


def measure_of(names: Sequence[str]) -> Any:
    """Return the mean of similarities (section 3.2); regions are merged by the same object."""
    segmentation = cv2.ximgproc.segmentation
    make = {
        "color": segmentation.createSelectiveSearchSegmentationStrategyColor,
        "texture": segmentation.createSelectiveSearchSegmentationStrategyTexture,
        "size": segmentation.createSelectiveSearchSegmentationStrategySize,
        "fill": segmentation.createSelectiveSearchSegmentationStrategyFill,
    }
    mean = segmentation.createSelectiveSearchSegmentationStrategyMultiple()
    for name in names:
        mean.addStrategy(make[name](), 1 / len(names))
    return mean


def first_regions(image: Pixels, k: float, *, min_size: int) -> FirstRegions:
    """Cut an image, (H, W) or (H, W, 3), into its first regions.

    Args:
        k: the larger, the larger are they.
        min_size: of a region in pixels.
    """
    cut = cv2.ximgproc.segmentation.createGraphSegmentation(_SIGMA, float(k), min_size)
    labels = np.ascontiguousarray(cut.processImage(image), dtype=np.int32)
    count = int(labels.max()) + 1
    rows, columns = np.indices(labels.shape)
    low = np.full((count, 2), np.iinfo(np.int32).max)
    high = np.zeros((count, 2), dtype=np.int64)
    for axis, places in enumerate((columns, rows)):
        np.minimum.at(low[:, axis], labels.ravel(), places.ravel())
        np.maximum.at(high[:, axis], labels.ravel(), places.ravel() + 1)
    neighbours: list[set[int]] = [set() for _ in range(count)]
    for one, other in _touching(labels).tolist():
        neighbours[one].add(other)
        neighbours[other].add(one)
    sizes = np.bincount(labels.ravel(), minlength=count).astype(np.int32)[:, None]
    return FirstRegions(
        labels, sizes, list(map(tuple, np.hstack([low, high]).tolist())), neighbours
    )


def _touching(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return pairs (N, 2) of different regions with pixels side by side or, as OpenCV, diagonal."""
    shifts = [(labels[:, 1:], labels[:, :-1]), (labels[1:], labels[:-1])]
    shifts += [(labels[1:, 1:], labels[:-1, :-1])]
    pairs = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in shifts])
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def group(measure: Any, image: Pixels, start: FirstRegions, number: int) -> list[Box]:
    """Merge the two most similar neighbours until one region is left (algorithm 1).

    Args:
        measure: how similar regions are.
        number: of image and first regions: what was measured of the same ones is taken again.

    Returns:
        The boxes of all regions: first those of `start`, then each merged one.
    """
    sizes = start.sizes.copy()  # `measure` reads it, too, through the same memory
    measure.setImage(image, start.labels, sizes, number)
    boxes, slots = list(start.boxes), list(range(len(start.boxes)))
    around: dict[int, set[int]] = {n: set(others) for n, others in enumerate(start.neighbours)}
    heap = [
        (-measure.get(one, other), one, other)
        for one, others in around.items()
        for other in others
        if one < other
    ]
    heapq.heapify(heap)
    while heap:
        _, one, other = heapq.heappop(heap)
        if one not in around or other not in around:
            continue  # one of them is part of a larger region by now
        new, (a, b) = len(boxes), (slots[one], slots[other])
        measure.merge(a, b)
        sizes[[a, b]] = sizes[a] + sizes[b]
        boxes.append(_union(boxes[one], boxes[other]))
        slots.append(min(a, b))
        around[new] = (around.pop(one) | around.pop(other)) - {one, other}
        for near in sorted(around[new]):
            around[near] = around[near] - {one, other} | {new}
            heapq.heappush(heap, (-measure.get(slots[new], slots[near]), near, new))
    return boxes


def _union(one: Box, other: Box) -> Box:
    (left, top), (right, bottom) = map(min, one[:2], other[:2]), map(max, one[2:], other[2:])
    return left, top, right, bottom
