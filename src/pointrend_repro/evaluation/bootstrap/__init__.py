"""The paired bootstrap over images: how much a metric owes to which images are the validation set.

The official tool matches predictions to objects (or counts pixels) image by image, once. From these
matches a metric is computed again for other weights of the images, a thousand times, by code of
our own, which gives the official number where every image weighs 1.

Weights depend on an image's name alone (`weights.py`). So any two metric files of one preset are
paired: the k-th values of both are of the same images, whatever the models and whatever the
metric. docs/claims.md has the reasons.
"""

import importlib
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.evaluation.bootstrap.weights import SEED, image_weights
from pointrend_repro.evaluation.scoring import Scored

# Metric -> module of this package and function in it, which takes what `evaluation.score` kept of
# each image. Boundary AP is in no claim of the paper.
_COUNTS = {
    "coco_ap": ("official_matches", "match_counts"),
    "lvis_ap_star": ("official_matches", "match_counts"),
    "cityscapes_ap": ("cityscapes_precision", "curve_counts"),
    "cityscapes_miou": ("label_counts", "pixel_counts"),
    "trimap_miou": ("label_counts", "pixel_counts"),
}

# Our sums run in another order than the official ones: in percent, far below any digit shown.
_AGREEMENT = 1e-6


class ImageCounts(Protocol):
    """What a metric needs of each image, and the metric for any weights of the images."""

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the N images."""
        ...

    def score(self, weights: NDArray[np.int64]) -> dict[str, float]:
        """Return numbers in percent under the official names, nan where there is nothing to score.

        Args:
            weights: how often each image is in the sample, (N,).
        """
        ...


def image_counts(metric: str, scored: Scored) -> ImageCounts | None:
    """Return what a metric needs of each image; None for a metric that cannot be resampled.

    Args:
        scored: by this metric; the official tool's matches of it are taken, and not made again.
    """
    if metric not in _COUNTS:
        return None
    module, function = _COUNTS[metric]
    counts_of = getattr(importlib.import_module(f"{__name__}.{module}"), function)
    counts: ImageCounts = counts_of(scored.by_image)
    return counts


def resample(
    counts: ImageCounts, official: dict[str, float | None], resamples: int
) -> dict[str, Any]:
    """Return a metric's values on resampled images, as JSON.

    Args:
        counts: of each image.
        official: the official tool's numbers on the images as they are.
        resamples: how many times to draw the images.

    Returns:
        `resamples`, `seed`, `images` (how many) and `values`: for each key a list of one number
        in percent (None: nothing to score) for each resample.

    Raises:
        RuntimeError: on the images as they are, ours is not the official number.
    """
    ones = np.ones(len(counts.images), dtype=np.int64)
    for key, value in counts.score(ones).items():
        expected = official[key]
        if not np.isclose(
            value, np.nan if expected is None else expected, rtol=0, atol=_AGREEMENT, equal_nan=True
        ):
            raise RuntimeError(
                f"bootstrap: {key} is {value}, but the official tool says {expected}"
            )
    scores = [counts.score(row) for row in image_weights(counts.images, resamples)]
    return {
        "resamples": resamples,
        "seed": SEED,
        "images": len(counts.images),
        "values": {
            key: [None if np.isnan(score[key]) else round(score[key], 6) for score in scores]
            for key in scores[0]
        },
    }
