"""Mean IoU as a function of image weights: weighted sums of each image's pixel counts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.data.label_images import CLASS_NAMES, image_name
from pointrend_repro.evaluation.trimap import Confusions

_CLASSES = list(CLASS_NAMES)


@dataclass(frozen=True)
class PixelCounts:
    """What the mean IoU of the 19 classes needs from each image.

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


def pixel_counts(confusions: Confusions) -> PixelCounts:
    """Return what the mean IoUs of the confusion matrices need from each image."""
    valid = confusions.by_image[:, :, _CLASSES]
    true = np.diagonal(valid[:, :, :, _CLASSES], axis1=2, axis2=3)
    predicted = valid.sum(axis=2)[:, :, _CLASSES]
    return PixelCounts(
        images=tuple(image_name(pair) for pair in confusions.pairs),
        keys=confusions.keys,
        pixels=np.stack([true, valid.sum(axis=3), predicted], axis=2),
    )


def _mean_iou(
    true: NDArray[np.int64], there: NDArray[np.int64], predicted: NDArray[np.int64]
) -> float:
    union = there + predicted - true
    seen = union > 0
    return 100 * float(np.mean(true[seen] / union[seen])) if seen.any() else float("nan")
