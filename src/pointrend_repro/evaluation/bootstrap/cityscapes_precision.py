"""Cityscapes' average precision as a function of image weights, vectorised.

What an image adds to the official precision-recall curve does not depend on other images: scores of
true and of false positives, and objects that were not found. The curve itself is `evaluateMatches`
of evalInstanceLevelSemanticLabeling.py with weights: a threshold at each score, and steps that are
half of those on both sides of a point.
"""

import functools
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from cityscapesscripts.evaluation import (
    evalInstanceLevelSemanticLabeling as official,  # noqa: N813
)
from numpy.typing import NDArray

from pointrend_repro.data.cityscapes import INSTANCE_CLASSES
from pointrend_repro.evaluation.bootstrap.sums import running_sum
from pointrend_repro.evaluation.packed_matches import Matches

_Ints = NDArray[np.int64]

_THRESHOLDS: NDArray[np.float64] = np.asarray(official.args.overlaps)
_LEAST_PIXELS = int(official.args.minRegionSizes[0])
_FIRST_OBJECT = 1000  # ids below it are of groups


@dataclass(frozen=True)
class CurveCounts:
    """What AP needs from each image.

    A list is one class at one threshold of overlap, C * T in all. An entry is a true or false
    positive; entries are sorted by list and then by rising score. A group is the entries of a list
    with one score: a point of the curve.

    Attributes:
        images: names of the N images.
        objects: numbers of objects (N, C).
        missed: numbers of objects that no prediction overlaps (N, C * T).
        image: of each entry.
        is_true: whether the entry is a true positive.
        group_start: index of each group's first entry.
        group_list: list of each group.
    """

    images: tuple[str, ...]
    objects: _Ints
    missed: _Ints
    image: _Ints
    is_true: NDArray[np.bool_]
    group_start: _Ints
    group_list: _Ints

    def score(self, weights: _Ints) -> dict[str, float]:
        """Return `AP` in percent for weights (N,) of the images; nan without any object."""
        is_there = weights @ self.objects > 0
        if not is_there.any():
            return {"AP": float("nan")}
        precisions = self._precisions(weights).reshape(len(is_there), -1)
        return {"AP": 100 * float(precisions[is_there].mean())}

    def _precisions(self, weights: _Ints) -> NDArray[np.float64]:
        """Area under each list's curve, (C * T,); 0 for a list without an entry."""
        areas = np.zeros(self.missed.shape[1])
        if not len(self.group_list):
            return areas
        places = self._places
        entries = weights[self.image]
        counted, true = (
            sums[places.end_entry] - sums[self.group_start]
            for sums in (running_sum(entries), running_sum(entries * self.is_true))
        )
        # No entry with this score or a higher one is in the sample: the curve's first point, at 1.
        precision = np.where(counted > 0, true / np.maximum(counted, 1), 1.0)
        found = true[places.first] + (weights @ self.missed)[places.lists]
        recall = true / np.repeat(np.maximum(found, 1), places.sizes)
        before = np.roll(recall, 1)
        before[places.first] = recall[places.first]
        after = np.roll(recall, -1)
        after[places.last] = 0.0
        areas[places.lists] = np.add.reduceat(precision * (before - after) / 2, places.first)
        areas[places.lists] += (
            recall[places.last] / 2
        )  # the artificial point: precision 1, recall 0
        return areas

    @functools.cached_property
    def _places(self) -> "_Places":
        lists, first = np.unique(self.group_list, return_index=True)
        ends = np.append(first[1:], len(self.group_list))
        end_entry = np.append(self.group_start, len(self.image))[ends]
        sizes = ends - first
        return _Places(lists, first, ends - 1, sizes, np.repeat(end_entry, sizes))


class _Places(NamedTuple):
    """Where the lists lie among the groups; lists without entries are left out.

    Attributes:
        lists: numbers of the lists.
        first: first group of each.
        last: its last group.
        sizes: how many groups it has.
        end_entry: for each group, the end of its list among the entries.
    """

    lists: _Ints
    first: _Ints
    last: _Ints
    sizes: _Ints
    end_entry: _Ints


class _Entries:
    """The entries of one list while they are collected, at 13 bytes each."""

    def __init__(self) -> None:
        self._scores, self._images, self._true = array("d"), array("i"), array("b")

    def add(self, scores: list[float], image: int, *, first_is_true: bool) -> None:
        self._scores.extend(scores)
        self._images.extend([image] * len(scores))
        self._true.extend([first_is_true and index == 0 for index in range(len(scores))])

    def sorted(self) -> tuple[_Ints, NDArray[np.bool_], _Ints]:
        """Return `image` and `is_true` of entries by rising score, and where groups start."""
        scores = np.array(self._scores, dtype=np.float64)
        order = np.argsort(scores, kind="stable")
        is_first = np.diff(scores[order], prepend=np.nan) != 0
        images = np.array(self._images, dtype=np.int64)[order]
        return images, np.array(self._true, dtype=bool)[order], np.flatnonzero(is_first)


def curve_counts(matches: Mapping[str, Matches]) -> CurveCounts:
    """Sort the matches of all images into one `CurveCounts`."""
    classes = list(INSTANCE_CLASSES.values())
    count = len(_THRESHOLDS)
    objects = np.zeros((len(matches), len(classes)), dtype=np.int64)
    missed = np.zeros((len(matches), len(classes) * count), dtype=np.int64)
    found: list[tuple[_Ints, NDArray[np.bool_], _Ints]] = []
    for index, name in enumerate(classes):
        entries = [_Entries() for _ in range(count)]
        for image, of_image in enumerate(matches.values()):
            truth = [item for item in of_image["groundTruth"][name] if _counts(item)]
            predicted = of_image["prediction"][name]
            objects[image, index] = len(truth)
            for step, threshold in enumerate(_THRESHOLDS):
                for item in truth:
                    over = _scores_over(item, threshold)
                    missed[image, index * count + step] += not over
                    # Only the highest-scoring of several is true.
                    entries[step].add(over, image, first_is_true=True)
                false = [p["confidence"] for p in predicted if _is_false(p, threshold)]
                entries[step].add(false, image, first_is_true=False)
        found += [of_list.sorted() for of_list in entries]
    images, is_true, starts = zip(*found, strict=True)
    first = np.cumsum([0, *(len(image) for image in images)])
    return CurveCounts(
        images=tuple(matches),
        objects=objects,
        missed=missed,
        image=np.concatenate(images),
        is_true=np.concatenate(is_true),
        group_start=np.concatenate([s + f for s, f in zip(starts, first[:-1], strict=True)]),
        group_list=np.repeat(np.arange(len(starts)), [len(s) for s in starts]),
    )


def _counts(item: dict[str, Any]) -> bool:
    return item["instID"] >= _FIRST_OBJECT and item["pixelCount"] >= _LEAST_PIXELS


def _scores_over(item: dict[str, Any], threshold: float) -> list[float]:
    """Scores of the predictions that overlap an object by more than the threshold, falling."""
    return sorted(
        (
            p["confidence"]
            for p in item["matchedPred"]
            if _overlap(item, p, p["intersection"]) > threshold
        ),
        reverse=True,
    )


def _is_false(prediction: dict[str, Any], threshold: float) -> bool:
    """Whether a prediction overlaps no object and is not mostly in ignored regions."""
    ignored = prediction["voidIntersection"]
    for item in prediction["matchedGt"]:
        if _overlap(item, prediction, item["intersection"]) > threshold:
            return False
        # As in the official code: a group that is small counts both times.
        ignored += item["intersection"] * (item["instID"] < _FIRST_OBJECT)
        ignored += item["intersection"] * (item["pixelCount"] < _LEAST_PIXELS)
    return ignored / prediction["pixelCount"] <= threshold


def _overlap(item: dict[str, Any], prediction: dict[str, Any], shared: int) -> float:
    return float(shared) / (item["pixelCount"] + prediction["pixelCount"] - shared)
