"""COCO's average precision as a function of image weights, vectorised.

pycocotools' and lvis' `accumulate` sort a category's detections by score and walk down the list.
The matches in an image do not depend on other images, so other weights change only the counts along
the list. Precision has its maxima at true positives, and recall changes only there, so only those
are used: of COCO's half a million detections at most 36,000 per threshold.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.evaluation.bootstrap.sums import running_sum

RECALLS = np.linspace(0.0, 1.0, 101)  # as in both tools

# Places of 0.50 and 0.75 among the ten thresholds of all these tools, of IoU or of OKS.
_AT_THRESHOLDS = {"AP50": 0, "AP75": 5}

# How many true positives are weighted at once: few enough for a processor's cache.
_AT_ONCE = 1 << 16

_Ints = NDArray[np.int64]
_ShortInts = NDArray[np.int32]


class CategoryMatches(NamedTuple):
    """The detections of one category in all images, D of them at T IoU thresholds.

    Attributes:
        image: index of each detection's image, (D,), in the tool's order of images.
        score: (D,).
        matched: whether a detection is matched to an object, (T, D).
        ignored: whether a detection does not count, (T, D).
        objects: the number of objects that count in each of the N images, (N,).
    """

    image: _Ints
    score: NDArray[np.float64]
    matched: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    objects: _Ints


class _Objects(NamedTuple):
    """How many objects of a category an image has, for the pairs where it has some."""

    image: _ShortInts
    category: _ShortInts
    objects: _ShortInts

    def totals(self, weights: _Ints, categories: int) -> _Ints:
        """Return the number of objects of each category for weights of the images, (K,)."""
        weighted = weights[self.image] * self.objects
        return np.bincount(self.category, weighted, minlength=categories).astype(np.int64)


class _Lists(NamedTuple):
    """The detections of some categories, sorted by category, then by falling score.

    A list is one category at one threshold. True positives are sorted by list and place in it, and
    so are ignored detections.

    Attributes:
        first: number of the first list among those of all categories.
        image: of each detection, (D,).
        true_list: of each true positive, counted from `first`, (P,).
        true_place: how many detections there are up to and including it, in all categories here.
        true_ignored: how many ignored detections there are before it, in all lists here.
        ignored_place: index of each ignored detection.
        category_start, true_start, ignored_start: for each of the L lists, how many detections,
            true positives and ignored detections are before its own.
    """

    first: int
    image: _ShortInts
    true_list: _ShortInts
    true_place: _ShortInts
    true_ignored: _ShortInts
    ignored_place: _ShortInts
    category_start: _ShortInts
    true_start: _ShortInts
    ignored_start: _ShortInts

    def best_precisions(self, weights: _Ints, totals: _Ints) -> NDArray[np.float64]:
        """Return the highest precision from each recall on, highest recall first: (L, 101).

        Args:
            weights: of the images, (N,).
            totals: how many objects each list has, (L,).
        """
        best = np.zeros((len(totals), len(RECALLS)))
        if not len(self.true_list):
            return best
        weight = weights[self.image]
        seen = running_sum(weight)
        ignored = running_sum(weight[self.ignored_place])
        found = running_sum(weight[self.true_place - 1])
        before = seen[self.category_start] - ignored[self.ignored_start]
        counted = seen[self.true_place] - ignored[self.true_ignored] - before[self.true_list]
        true = found[1:] - found[self.true_start][self.true_list]
        precision = true / (counted + np.spacing(1))
        recall = true / np.maximum(totals, 1)[self.true_list]
        # The last of the 101 recalls that this true positive reaches; it rises along a list.
        reached = np.searchsorted(RECALLS, recall, side="right") - 1
        cell = self.true_list * len(RECALLS) + reached
        starts = np.flatnonzero(np.diff(cell, prepend=-1))
        best.ravel()[cell[starts]] = np.maximum.reduceat(precision, starts)
        return np.maximum.accumulate(best[:, ::-1], axis=1)


@dataclass(frozen=True)
class PrecisionCounts:
    """What AP needs from each image.

    Attributes:
        images: names of the N images.
        categories: K.
        thresholds: T.
    """

    images: tuple[str, ...]
    categories: int
    thresholds: int
    _objects: _Objects
    _parts: list[_Lists]

    def score(self, weights: _Ints) -> dict[str, float]:
        """Return `AP`, and AP at some thresholds, for weights (N,) of the images.

        In percent; nan without any object.
        """
        totals = self._objects.totals(weights, self.categories)
        if not totals.any():
            return dict.fromkeys(("AP", *_AT_THRESHOLDS), float("nan"))
        of_lists = np.repeat(totals, self.thresholds)
        best = np.zeros((len(of_lists), len(RECALLS)))
        for part in self._parts:
            lists = slice(part.first, part.first + len(part.true_start))
            best[lists] = part.best_precisions(weights, of_lists[lists])
        precision = best.reshape(len(totals), self.thresholds, len(RECALLS))[totals > 0]
        by_threshold = 100 * precision.mean(axis=(0, 2))
        some = {key: float(by_threshold[place]) for key, place in _AT_THRESHOLDS.items()}
        return {"AP": float(by_threshold.mean())} | some


def precision_counts(
    images: Sequence[str], categories: Iterable[CategoryMatches], thresholds: int
) -> PrecisionCounts:
    """Sort the matches of all categories into one `PrecisionCounts`."""
    objects, parts, some = [], [], _Collected(0, thresholds)
    count = 0
    for found in categories:
        (here,) = np.nonzero(found.objects)
        objects.append(np.stack([here, np.full_like(here, count), found.objects[here]]))
        some.add(found)
        count += 1
        if some.true_positives >= _AT_ONCE:
            parts.append(some.lists())
            some = _Collected(count * thresholds, thresholds)
    parts.append(some.lists())
    of_objects = np.concatenate([*objects, np.empty((3, 0), np.int64)], axis=1)
    return PrecisionCounts(
        images=tuple(images),
        categories=count,
        thresholds=thresholds,
        _objects=_Objects(*of_objects.astype(np.int32)),
        _parts=parts,
    )


class _Collected:
    """The categories of one `_Lists`, while they are sorted one after another."""

    def __init__(self, first: int, thresholds: int) -> None:
        self._first, self._thresholds = first, thresholds
        self._images: list[_Ints] = []
        self._starts: list[int] = []
        self._true: list[_Ints] = []  # list and place, (2, ...)
        self._ignored: list[_Ints] = []
        self._detections = self.true_positives = 0

    def add(self, found: CategoryMatches) -> None:
        """Add the next category."""
        order = np.argsort(-found.score, kind="stable")
        first = len(self._starts) * self._thresholds
        for mask, entries in (
            (found.matched & ~found.ignored, self._true),
            (found.ignored, self._ignored),
        ):
            threshold, where = np.nonzero(mask[:, order])
            entries.append(np.stack([first + threshold, self._detections + where]))
        self._images.append(found.image[order])
        self._starts.append(self._detections)
        self._detections += len(order)
        self.true_positives += self._true[-1].shape[1]

    def lists(self) -> _Lists:
        """Return all that was added."""
        image = np.concatenate([*self._images, np.empty(0, np.int64)])
        true, true_index = np.concatenate([*self._true, np.empty((2, 0), np.int64)], axis=1)
        ignored, ignored_index = np.concatenate(
            [*self._ignored, np.empty((2, 0), np.int64)], axis=1
        )
        lists = np.arange(len(self._starts) * self._thresholds)
        in_a_row = self._detections + 1
        numbers = (
            image,
            true,
            true_index + 1,
            np.searchsorted(ignored * in_a_row + ignored_index, true * in_a_row + true_index),
            ignored_index,
            np.repeat(self._starts, self._thresholds),
            np.searchsorted(true, lists),
            np.searchsorted(ignored, lists),
        )
        return _Lists(self._first, *(array.astype(np.int32) for array in numbers))
