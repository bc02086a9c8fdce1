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

_Ints = NDArray[np.int64]


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


@dataclass(frozen=True)
class PrecisionCounts:
    """What AP needs from each image. Detections are sorted by category, then by falling score.

    A list is one category at one threshold, K * T in all. `tp_*` has one entry per true positive,
    sorted by list and position in it; `ignored_image` has one per ignored detection, in the same
    order.

    Attributes:
        images: names of the N images.
        objects: numbers of objects (N, K).
        thresholds: T.
        image: of each detection.
        tp_image: of each true positive.
        tp_list: its list.
        tp_list_start: index of the first true positive of its list.
        tp_place: how many detections there are up to and including it, in all categories.
        tp_category_start: how many of those are in earlier categories.
        ignored_image: of each ignored detection.
        tp_ignored: how many ignored detections there are before it, in all lists.
        tp_ignored_start: how many of those are in earlier lists.
    """

    images: tuple[str, ...]
    objects: _Ints
    thresholds: int
    image: _Ints
    tp_image: _Ints
    tp_list: _Ints
    tp_list_start: _Ints
    tp_place: _Ints
    tp_category_start: _Ints
    ignored_image: _Ints
    tp_ignored: _Ints
    tp_ignored_start: _Ints

    def score(self, weights: _Ints) -> dict[str, float]:
        """Return `AP` in percent for weights (N,) of the images; nan without any object."""
        totals = weights @ self.objects
        if not totals.any():
            return {"AP": float("nan")}
        best = self._best_precisions(weights, totals).reshape(len(totals), -1)
        return {"AP": 100 * float(best[totals > 0].mean())}

    def _best_precisions(self, weights: _Ints, totals: _Ints) -> NDArray[np.float64]:
        """The highest precision from each recall on, highest recall first: (K * T, 101)."""
        best = np.zeros((self.objects.shape[1] * self.thresholds, len(RECALLS)))
        if not len(self.tp_image):
            return best
        seen = running_sum(weights[self.image])
        ignored = running_sum(weights[self.ignored_image])
        found = running_sum(weights[self.tp_image])
        counted = seen[self.tp_place] - seen[self.tp_category_start]
        counted -= ignored[self.tp_ignored] - ignored[self.tp_ignored_start]
        true = found[1:] - found[self.tp_list_start]
        precision = true / (counted + np.spacing(1))
        recall = true / np.maximum(totals, 1)[self.tp_list // self.thresholds]
        # The last of the 101 recalls that this true positive reaches; it rises along a list.
        reached = np.searchsorted(RECALLS, recall, side="right") - 1
        cell = self.tp_list * len(RECALLS) + reached
        starts = np.flatnonzero(np.diff(cell, prepend=-1))
        best.ravel()[cell[starts]] = np.maximum.reduceat(precision, starts)
        return np.maximum.accumulate(best[:, ::-1], axis=1)


def precision_counts(
    images: Sequence[str], categories: Iterable[CategoryMatches], thresholds: int
) -> PrecisionCounts:
    """Sort the matches of all categories into one `PrecisionCounts`."""
    sorted_images: list[_Ints] = []
    tps: list[_Ints] = []
    ignored: list[_Ints] = []
    starts, objects = [], []
    place = 0
    for index, found in enumerate(categories):
        order = np.argsort(-found.score, kind="stable")
        sorted_images.append(found.image[order])
        for mask, entries in (
            (found.matched & ~found.ignored, tps),
            (found.ignored, ignored),
        ):
            threshold, where = np.nonzero(mask[:, order])
            entries.append(np.stack([index * thresholds + threshold, place + where]))
        starts.append(place)
        objects.append(found.objects)
        place += len(order)
    image = np.concatenate([*sorted_images, np.empty(0, np.int64)])
    tp_list, tp_index = np.concatenate([*tps, np.empty((2, 0), np.int64)], axis=1)
    ignored_list, ignored_index = np.concatenate([*ignored, np.empty((2, 0), np.int64)], axis=1)
    ignored_key = ignored_list * (place + 1) + ignored_index
    return PrecisionCounts(
        images=tuple(images),
        objects=np.stack(objects, axis=1) if objects else np.zeros((len(images), 0), np.int64),
        thresholds=thresholds,
        image=image,
        tp_image=image[tp_index],
        tp_list=tp_list,
        tp_list_start=np.searchsorted(tp_list, tp_list),
        tp_place=tp_index + 1,
        tp_category_start=np.array(starts, np.int64)[tp_list // thresholds],
        ignored_image=image[ignored_index],
        tp_ignored=np.searchsorted(ignored_key, tp_list * (place + 1) + tp_index),
        tp_ignored_start=np.searchsorted(ignored_list, tp_list),
    )
