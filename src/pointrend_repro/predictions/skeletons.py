"""Which lines and dots show the keypoints of an object."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.data.keypoints import Pair

# Keypoints below it are guesses, such as of feet outside the image (detectron2 commit 02b5c4e2,
# utils/visualizer.py).
MIN_SCORE = 0.05


def joints(keypoints: NDArray[np.float32], min_score: float = MIN_SCORE) -> NDArray[np.float32]:
    """Return x and y (J, 2) of those of an object's keypoints (K, 3) that have a score."""
    return keypoints[keypoints[:, 2] >= min_score, :2]


def limbs(
    keypoints: NDArray[np.float32], skeleton: Sequence[Pair], min_score: float = MIN_SCORE
) -> NDArray[np.float32]:
    """Return the lines (L, 2, 2) of a skeleton: x and y of both ends, which both have a score."""
    pairs = np.array(skeleton, dtype=np.int64).reshape(-1, 2)
    ends = keypoints[pairs]
    return ends[(ends[..., 2] >= min_score).all(axis=1), :, :2]
