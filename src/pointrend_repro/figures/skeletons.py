"""Skeletons of people over a view of an image."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from pointrend_repro.data.keypoints import Pair
from pointrend_repro.figures.drawing import View
from pointrend_repro.predictions.skeletons import joints, limbs

_LINE_PT = 1.3


def show_skeleton(
    ax: Axes,
    view: View,
    keypoints: NDArray[np.float32],
    skeleton: Sequence[Pair],
    color: str,
    *,
    min_score: float,
) -> None:
    """Draw an object's keypoints, and the lines between them, white-rimmed to show on any image.

    Args:
        keypoints: (K, 3), x and y in pixels of the image, and scores.
        min_score: keypoints below it are left out.
    """
    ends = _in_view(limbs(keypoints, skeleton, min_score), view)
    lines = LineCollection(list(ends), colors=color, linewidths=_LINE_PT)
    lines.set_capstyle("round")
    lines.set_path_effects([withStroke(linewidth=2 * _LINE_PT, foreground="white")])
    lines.set_zorder(3)
    ax.add_collection(lines)
    points = _in_view(joints(keypoints, min_score), view)
    size = (1.8 * _LINE_PT) ** 2
    ax.scatter(points[:, 0], points[:, 1], size, color, edgecolors="white", lw=0.4, zorder=4)


def _in_view(points: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    return (points - np.array(view.corner, dtype=np.float32)) * np.float32(view.scale)
