"""Mean IoU as a function of the images' weights: sums of the images' own counts of pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.evaluation.label_images import (
    CLASS_NAMES,
    ID_COUNT,
    LabelIds,
    LabelPair,
    find_pairs,
    image_name,
    read_pair,
)
from pointrend_repro.evaluation.trimap import HALF_WIDTHS_PX, trimap_confusion

_CLASSES = list(CLASS_NAMES)


@dataclass(frozen=True)
class PixelCounts:
    """What the mean IoU of the 19 classes needs of each image.

    Attributes:
        images: names of the N images.
        keys: what is measured, such as `mIoU`.
        pixels: (N, keys, 3, classes): true positives, pixels of the class, and valid pixels
            predicted to be of it.
    """

    images: tuple[str, ...]
    keys: tuple[str, ...]
    pixels: NDArray[np.int64]

    def score(self, weights: NDArray[np.int64]) -> dict[str, float]:
        """Return mean IoUs in percent by key for weights (N,); nan without any valid pixel."""
        sums = (weights @ self.pixels.reshape(len(weights), -1)).reshape(self.pixels.shape[1:])
        return {key: _mean_iou(*counts) for key, counts in zip(self.keys, sums, strict=True)}


def miou_counts(ground_truth: Path, predictions: Path) -> PixelCounts:
    """Return what Cityscapes' mean IoU needs of each image."""
    return _count(find_pairs(ground_truth, predictions), ("mIoU",), _confusion)


def trimap_counts(ground_truth: Path, predictions: Path) -> PixelCounts:
    """Return what the mean IoU in trimaps needs of each image."""
    keys = (*(f"mIoU@r={half_width}" for half_width in HALF_WIDTHS_PX), "mIoU")
    return _count(
        find_pairs(ground_truth, predictions),
        keys,
        lambda truth, predicted: trimap_confusion(truth, predicted, HALF_WIDTHS_PX),
    )


def _count(
    pairs: list[LabelPair],
    keys: tuple[str, ...],
    confusion_of: Callable[[LabelIds, LabelIds], NDArray[np.int64]],
) -> PixelCounts:
    """Count pixels by `confusion_of`, which gives (keys, 34, 34): [ground truth, prediction]."""
    counts = []
    for pair in pairs:
        confusion = confusion_of(*read_pair(pair))[:, _CLASSES]  # on valid pixels
        true = np.diagonal(confusion[:, :, _CLASSES], axis1=1, axis2=2)
        predicted = confusion.sum(axis=1)[:, _CLASSES]
        counts.append(np.stack([true, confusion.sum(axis=2), predicted], axis=1))
    return PixelCounts(tuple(image_name(pair) for pair in pairs), keys, np.stack(counts))


def _confusion(truth: LabelIds, predicted: LabelIds) -> NDArray[np.int64]:
    cells = truth.astype(np.int64) * ID_COUNT + predicted
    return np.bincount(cells.ravel(), minlength=ID_COUNT**2).reshape(1, ID_COUNT, ID_COUNT)


def _mean_iou(
    true: NDArray[np.int64], there: NDArray[np.int64], predicted: NDArray[np.int64]
) -> float:
    union = there + predicted - true
    seen = union > 0
    return 100 * float(np.mean(true[seen] / union[seen])) if seen.any() else float("nan")
