"""Adaptive subdivision with nothing left out: the grid and the points of every step.

Masks are rendered by `modeling.points.render_masks`, which gives the same result with fewer
predictions and keeps nothing of its steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from pointrend_repro.modeling.points import (
    binary_uncertainty,
    most_uncertain_points,
)
from pointrend_repro.modeling.steps import subdivision_steps
from pointrend_repro.settings.instances import InferenceSettings


@dataclass(frozen=True)
class Step:
    """One step. Grids are logits over a box, points box-normalised.

    Attributes:
        before: (S, S), interpolated from the step before; in the first step, predicted.
        points: (P, 2), the most uncertain cells of `before`, predicted again; none in the first.
        after: (S, S), with the new predictions.
    """

    before: Tensor
    points: Tensor
    after: Tensor


def subdivide(
    coarse: Tensor, predict_points: Callable[[Tensor], Tensor], settings: InferenceSettings
) -> list[Step]:
    """Carry out section 3.1, Inference, with every step that the paper describes.

    Args:
        coarse: logits (M0, M0).
        predict_points: maps points (P, 2), box-normalised, to logits (P,).

    Returns:
        The coarse prediction, and one step per doubling of the grid.
    """
    steps = [Step(coarse, coarse.new_zeros(0, 2), coarse)]
    for side, count in subdivision_steps(
        len(coarse), settings.output_resolution, settings.points_per_step
    ):
        before = F.interpolate(
            steps[-1].after[None, None], size=(side, side), mode="bilinear", align_corners=False
        )[0, 0]
        cells, points = most_uncertain_points(binary_uncertainty(before)[None], count)
        after = before.flatten().scatter(0, cells[0], predict_points(points[0])).view(side, side)
        steps.append(Step(before, points[0], after))
    return steps
