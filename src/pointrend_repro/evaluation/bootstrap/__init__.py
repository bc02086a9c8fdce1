"""The paired bootstrap over images: how much a metric depends on which images are in the val set.

The official tool matches predictions to objects (or counts pixels) image by image, once. From these
matches our own code recomputes the metric for other weights of the images, a thousand times; it
gives the official number where every image weighs 1.

Weights depend only on an image's name (`weights.py`). So any two metric files of one preset are
paired: the k-th values of both are of the same sample of images, for any models and metrics.
docs/claims.md gives the reasons.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.declarations.finding import load_function
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.evaluation.bootstrap.weights import SEED, image_weights
from pointrend_repro.evaluation.scoring import Scored

# Our sums run in another order than the official ones; in percent, far below any digit shown.
_AGREEMENT = 1e-6

# Of each value in percent: a tenth of what intervals show. More are noise that files and the
# archives of runs would have to hold, digit by digit.
_DECIMALS = 3


class ImageCounts(Protocol):
    """What a metric needs from each image, and the metric for any weights of the images."""

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the N images."""
        ...

    def score(self, weights: NDArray[np.int64]) -> dict[str, float]:
        """Return numbers in percent under the official names, nan if there is nothing to score.

        Args:
            weights: how often each image is in the sample, (N,).
        """
        ...


def image_counts(metric: str, scored: Scored) -> ImageCounts | None:
    """Return what a metric needs from each image; None for a metric that cannot be resampled.

    The metric's own function makes it from what `evaluation.score` kept of each image.

    Args:
        scored: by this metric; the official tool's matches in it are reused.
    """
    function = METRICS.find(metric).resample
    if function is None:
        return None
    counts: ImageCounts = load_function(function)(scored.by_image)
    return counts


def resample(
    counts: ImageCounts, official: dict[str, float | None], resamples: int
) -> dict[str, Any]:
    """Return a metric's values on resampled images, as JSON.

    Args:
        counts: of all images.
        official: the official tool's numbers on the original images.
        resamples: how many times to draw the images.

    Returns:
        `resamples`, `seed`, `images` (how many) and `values`: for each key a list of one number
        in percent, to three decimals (None: nothing to score), for each resample.

    Raises:
        RuntimeError: on the original images, our number is not the official one.
    """
    ones = np.ones(len(counts.images), dtype=np.int64)
    for key, value in counts.score(ones).items():
        expected = official[key]
        if not np.isclose(
            value, np.nan if expected is None else expected, rtol=0, atol=_AGREEMENT, equal_nan=True
        ):
            raise RuntimeError(
                f"resample gives {key} = {value} where each image counts once, but score gives "
                f"{expected}; they must be equal"
            )
    scores = [counts.score(row) for row in image_weights(counts.images, resamples)]
    return {
        "resamples": resamples,
        "seed": SEED,
        "images": len(counts.images),
        "values": {
            key: [None if np.isnan(s[key]) else round(s[key], _DECIMALS) for s in scores]
            for key in scores[0]
        },
    }
