"""PointRend for whole images (section 5): the image is the one region, a point has K logits.

Shapes: N images, K classes, P points, C channels of the fine-grained features. Points are
box-normalised over the padded image (see `modeling.points`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pointrend_repro.modeling.points import point_sample, regular_grid, sample_training_points
from pointrend_repro.modeling.precision import float32_inside
from pointrend_repro.modeling.semantic.doubling import doubled
from pointrend_repro.modeling.semantic.losses import mean_cross_entropy
from pointrend_repro.modeling.semantic.point_head import SemanticPointHead
from pointrend_repro.modeling.semantic.ranking import (
    logit_uncertainty,
    most_likely,
    probability_uncertainty,
)
from pointrend_repro.modeling.semantic.selection import uncertain_cells
from pointrend_repro.modeling.semantic.upsampling import Size, upsample
from pointrend_repro.modeling.steps import first_to_matter
from pointrend_repro.settings.semantic import SemanticPointRendSettings

# How many grid cells have their uncertainty measured at once, which needs several copies of them.
_CELLS_AT_A_TIME = 2**16


@dataclass(frozen=True)
class RefinementStep:
    """The result of one subdivision step.

    Attributes:
        logits: (N, K, H, W), twice the resolution of the step before.
        points: (N, P, 2), box-normalised: the cells that were predicted again.
    """

    logits: Tensor
    points: Tensor


_UNCERTAINTIES = {"probabilities": probability_uncertainty, "logits": logit_uncertainty}


class PointRefiner(nn.Module):
    """Trains the point head on chosen points, and refines coarse logits with it."""

    def __init__(
        self, in_channels: int, num_classes: int, settings: SemanticPointRendSettings
    ) -> None:
        super().__init__()
        self.settings = settings
        self.uncertainty = _UNCERTAINTIES[settings.uncertainty]
        self.point_head = SemanticPointHead(in_channels, num_classes, settings)

    @float32_inside
    def loss(self, coarse: Tensor, fine: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy at the points of one training step (section 3.1).

        Args:
            coarse: logits (N, K, h, w).
            fine: features (N, C, h', w').
            labels: (N, H, W) int64, train ids or 255; a point has the label of the pixel it is in.
        """
        points = sample_training_points(
            lambda candidates: self.uncertainty(point_sample(coarse, candidates)),
            coarse.shape[0],
            self.settings.train_points,
            oversample_ratio=self.settings.oversample_ratio,
            importance_ratio=self.settings.importance_ratio,
            device=coarse.device,
        )
        logits = self._point_logits(coarse, fine, points)
        return mean_cross_entropy(logits, labels_at_points(labels, points))

    def steps(
        self, coarse: Tensor, fine: Tensor, size: Size, *, points_per_step: int
    ) -> Iterator[RefinementStep]:
        """Refine coarse logits (N, K, h, w) up to `size`, one doubling at a time."""
        return refinement_steps(
            coarse,
            lambda points: self._point_logits(coarse, fine, points),
            size=size,
            points_per_step=points_per_step,
            uncertainty=self.uncertainty,
        )

    def labels(self, coarse: Tensor, fine: Tensor, size: Size, *, points_per_step: int) -> Tensor:
        """Return the most likely class (N, H, W) uint8 at the end of `steps`."""
        return refined_labels(
            coarse,
            lambda points: self._point_logits(coarse, fine, points),
            size=size,
            points_per_step=points_per_step,
            uncertainty=self.uncertainty,
        )

    @float32_inside
    def _point_logits(self, coarse: Tensor, fine: Tensor, points: Tensor) -> Tensor:
        """Return float32 logits (N, K, P): the same computation in training and inference.

        Rounded to bfloat16, the logits of many a point's two best classes would be equal.
        """
        parts = _parts(points)
        if parts > 1:
            # On a CPU one thread samples one image: split the points to make use of all threads.
            coarse, fine = (x.expand(parts, -1, -1, -1) for x in (coarse, fine))
            points = points.view(parts, -1, 2)
        logits: Tensor = self.point_head(point_sample(fine, points), point_sample(coarse, points))
        return logits if parts == 1 else logits.transpose(0, 1).flatten(1).unsqueeze(0)


def _parts(points: Tensor) -> int:
    """Return into how many equal parts to split points (N, P, 2)."""
    one_image = points.shape[0] == 1 and points.device.type == "cpu"
    threads = torch.get_num_threads()
    if not one_image or torch.is_grad_enabled() or points.shape[1] % threads:
        return 1
    return threads


def refinement_steps(
    coarse: Tensor,
    predict_points: Callable[[Tensor], Tensor],
    *,
    size: Size,
    points_per_step: int,
    uncertainty: Callable[[Tensor], Tensor],
) -> Iterator[RefinementStep]:
    """Adaptive subdivision of a whole image (section 3.1, Inference; section 5).

    Steps that another one discards are left out (`first_to_matter`): the logits are those of the
    full procedure, with fewer predictions.

    Args:
        coarse: logits (N, K, h, w).
        predict_points: maps points (N, P, 2) to logits (N, K, P).
        size: height and width to reach: h and w times a power of two.
        points_per_step: the paper's N, for each image.
        uncertainty: maps logits (N, K, ...) to (N, ...), larger where less certain.

    Raises:
        ValueError: `size` is not h and w times one power of two.
    """
    sizes = _doublings((coarse.shape[2], coarse.shape[3]), size)
    first = first_to_matter([height * width for height, width in sizes], points_per_step)
    logits = coarse
    for height, width in sizes[first:]:
        if height * width <= points_per_step:
            grid = regular_grid(height, width, device=coarse.device)
            points = grid.unsqueeze(0).expand(coarse.shape[0], -1, -1)
            logits = predict_points(points).unflatten(2, (height, width))
        else:
            logits = upsample(logits, (height, width))
            index, points = uncertain_cells(_by_strips(uncertainty, logits), points_per_step)
            logits = _replace(logits, index, predict_points(points))
        yield RefinementStep(logits, points)


def refined_labels(
    coarse: Tensor,
    predict_points: Callable[[Tensor], Tensor],
    *,
    size: Size,
    points_per_step: int,
    uncertainty: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the most likely class of each cell after the last of `refinement_steps`.

    The logits of that step, which take most of the time and memory, are not kept.

    Returns:
        (N, H, W) uint8. If logits are equal, the lower class wins.
    """
    sizes = [(coarse.shape[2], coarse.shape[3])]
    sizes += _doublings(sizes[0], size)
    to_the_end = len(sizes) == 1 or size[0] * size[1] <= points_per_step
    logits = coarse
    for step in refinement_steps(
        coarse,
        predict_points,
        size=size if to_the_end else sizes[-2],
        points_per_step=points_per_step,
        uncertainty=uncertainty,
    ):
        logits = step.logits
    if to_the_end:
        return most_likely(logits)
    unsure, labels = doubled(logits, uncertainty)
    index, points = uncertain_cells(unsure, points_per_step)
    new = most_likely(predict_points(points))
    return labels.flatten(1).scatter_(1, index, new).view_as(labels)


def labels_at_points(labels: Tensor, points: Tensor) -> Tensor:
    """Return the labels (N, P) of the pixels of (N, H, W) in which points (N, P, 2) lie."""
    height, width = labels.shape[1:]
    x = (points[..., 0] * width).long().clamp(0, width - 1)
    y = (points[..., 1] * height).long().clamp(0, height - 1)
    return labels.flatten(1).gather(1, y * width + x)


def _by_strips(uncertainty: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    """Measure uncertainty a few rows at a time, since it needs copies of its input."""
    rows = max(1, _CELLS_AT_A_TIME // logits.shape[3])
    return torch.cat([uncertainty(strip) for strip in logits.split(rows, dim=2)], dim=1)


def _replace(logits: Tensor, index: Tensor, new: Tensor) -> Tensor:
    """Put `new` (N, K, P) at the flat indices (N, P) of logits (N, K, H, W), in place."""
    where = index.unsqueeze(1).expand_as(new)
    return logits.flatten(2).scatter_(2, where, new).view_as(logits)


def _doublings(start: Size, end: Size) -> list[Size]:
    sizes = [start]
    while sizes[-1][0] < end[0]:
        sizes.append((2 * sizes[-1][0], 2 * sizes[-1][1]))
    if sizes[-1] != end:
        raise ValueError(f"size {end} is not {start} times a power of two")
    return sizes[1:]
