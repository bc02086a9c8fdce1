"""PointRend for whole images (section 5): an image is the one region, a point has K logits.

Shapes: N images, K classes, P points, C channels of the fine-grained features. Points are
box-normalised over the padded image (see `modeling.points`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.modeling.init import init_msra, init_normal
from pointrend_repro.modeling.points import (
    most_uncertain_points,
    point_sample,
    regular_grid,
    sample_training_points,
)
from pointrend_repro.modeling.precision import float32_inside
from pointrend_repro.modeling.semantic.losses import mean_cross_entropy
from pointrend_repro.modeling.semantic.upsampling import Size, upsample
from pointrend_repro.semantic_settings import SemanticPointRendSettings

_HIDDEN_LAYERS = 3

# So many grid cells at a time have their uncertainty measured: K floats each.
_CELLS_AT_A_TIME = 2**18


@dataclass(frozen=True)
class RefinementStep:
    """What one subdivision step leaves.

    Attributes:
        logits: (N, K, H, W), twice the resolution of the step before.
        points: (N, P, 2), box-normalised: the cells that were predicted anew.
    """

    logits: Tensor
    points: Tensor


def probability_uncertainty(logits: Tensor) -> Tensor:
    """Return second largest minus largest class probability, (N, ...) of logits (N, K, ...).

    "The difference between the most confident and second most confident class probabilities"
    (section 5): 0 where two classes tie, -1 where one is certain.
    """
    return _second_minus_first(logits.softmax(dim=1))


def logit_uncertainty(logits: Tensor) -> Tensor:
    """Return second largest minus largest logit, (N, ...) of logits (N, K, ...).

    What detectron2 uses (commit 02b5c4e2, projects/PointRend/point_rend/semantic_seg.py).
    """
    return _second_minus_first(logits)


_UNCERTAINTIES = {"probabilities": probability_uncertainty, "logits": logit_uncertainty}


class SemanticPointHead(nn.Module):
    """An MLP with weights shared by all points, for all classes."""

    def __init__(
        self, in_channels: int, num_classes: int, settings: SemanticPointRendSettings
    ) -> None:
        super().__init__()
        self.coarse_in_each_layer = settings.coarse_in_each_layer
        width, extra = settings.channels, num_classes if settings.coarse_in_each_layer else 0
        self.layers = nn.ModuleList(
            nn.Conv1d(width + extra if i else in_channels + num_classes, width, 1)
            for i in range(_HIDDEN_LAYERS)
        )
        self.predictor = nn.Conv1d(width + extra, num_classes, 1)
        init_msra(*self.layers)
        init_normal(self.predictor, std=0.001)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return logits (N, K, P), of features (N, C, P) and coarse logits (N, K, P)."""
        x = torch.cat([fine, coarse], dim=1)
        for layer in self.layers:
            x = F.relu(layer(x))
            if self.coarse_in_each_layer:
                x = torch.cat([x, coarse], dim=1)
        logits: Tensor = self.predictor(x)
        return logits


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

    def _point_logits(self, coarse: Tensor, fine: Tensor, points: Tensor) -> Tensor:
        """Return logits (N, K, P): the one way to them, in training or not."""
        logits: Tensor = self.point_head(point_sample(fine, points), point_sample(coarse, points))
        return logits


def refinement_steps(
    coarse: Tensor,
    predict_points: Callable[[Tensor], Tensor],
    *,
    size: Size,
    points_per_step: int,
    uncertainty: Callable[[Tensor], Tensor],
) -> Iterator[RefinementStep]:
    """Adaptive subdivision of a whole image (section 3.1, Inference; section 5).

    A step that predicts a whole grid makes all before it void, so the last such step comes first:
    the logits are those of the full procedure, with fewer predictions.

    Args:
        coarse: logits (N, K, h, w).
        predict_points: maps points (N, P, 2) to logits (N, K, P).
        size: height and width to reach: h and w times a power of two.
        points_per_step: the paper's N, for each image.
        uncertainty: maps logits (N, K, ...) to (N, ...), larger where less sure.

    Raises:
        ValueError: `size` is not h and w times one power of two.
    """
    sizes = _doublings((coarse.shape[2], coarse.shape[3]), size)
    dense = [i for i, (height, width) in enumerate(sizes) if height * width <= points_per_step]
    logits = coarse
    for height, width in sizes[dense[-1] :] if dense else sizes:
        if height * width <= points_per_step:
            grid = regular_grid(height, width, device=coarse.device)
            points = grid.unsqueeze(0).expand(coarse.shape[0], -1, -1)
            logits = predict_points(points).unflatten(2, (height, width))
        else:
            logits = upsample(logits, (height, width))
            index, points = most_uncertain_points(_by_strips(uncertainty, logits), points_per_step)
            logits = _replace(logits, index, predict_points(points))
        yield RefinementStep(logits, points)


def labels_at_points(labels: Tensor, points: Tensor) -> Tensor:
    """Return the labels (N, P) of the pixels of (N, H, W) in which points (N, P, 2) lie."""
    height, width = labels.shape[1:]
    x = (points[..., 0] * width).long().clamp(0, width - 1)
    y = (points[..., 1] * height).long().clamp(0, height - 1)
    return labels.flatten(1).gather(1, y * width + x)


def _second_minus_first(scores: Tensor) -> Tensor:
    first, second = scores.topk(2, dim=1).values.unbind(1)
    return second - first


def _by_strips(uncertainty: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    """Measure the uncertainty of a few rows at a time: it needs copies of what it measures."""
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
