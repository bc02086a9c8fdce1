"""PointRend's coarse head: a lightweight mask of every class in every box (section 4).

Shapes: R boxes of all images, K classes, C channels of all levels that it sees.
"""

from collections.abc import Callable
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.modeling.boxes import is_being_exported
from pointrend_repro.modeling.fully_connected import (
    add_fully_connected,
    fully_connected,
    through_fully_connected,
)
from pointrend_repro.modeling.init import init_msra, init_normal, init_xavier
from pointrend_repro.modeling.levels import linear_at_points, sample_levels
from pointrend_repro.modeling.points import regular_grid
from pointrend_repro.settings.heads import PointRendHeadSettings


class CoarseHead(nn.Module):
    """Predicts an M0 x M0 mask for every class from a regular grid of 2 M0 x 2 M0 points.

    The paper's sees p2 alone: "PointRend also interpolates a 256-dimensional feature vector from
    the P2 level of the FPN". With more channels than its convolution has, a 1x1 convolution comes
    first, as in detectron2 (commit 02b5c4e2, PointRend's coarse_mask_head.py).
    """

    def __init__(self, in_channels: int, num_classes: int, settings: PointRendHeadSettings) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.resolution = settings.coarse_resolution
        self.levels = settings.levels
        seen = in_channels * len(settings.levels)
        width = settings.coarse_conv_channels or in_channels
        self.reduce_channels = None if seen == width else nn.Conv2d(seen, width, kernel_size=1)
        self.reduce = nn.Conv2d(width, width, kernel_size=2, stride=2)
        hidden = settings.coarse_channels
        sizes = [width * self.resolution**2] + [hidden] * settings.coarse_layers
        add_fully_connected(self, sizes)
        self.prediction = nn.Linear(hidden, num_classes * self.resolution**2)
        if self.reduce_channels is not None:
            init_msra(self.reduce_channels)
        init_msra(self.reduce)
        init_xavier(*fully_connected(self))
        init_normal(self.prediction, std=0.001)

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """Return logits (R, K, M0, M0)."""
        return self.on(features, sum(b.shape[0] for b in boxes))(boxes)

    def on(self, features: dict[str, Tensor], num_boxes: int) -> Callable[[list[Tensor]], Tensor]:
        """Return the function from boxes to logits, which is to see `num_boxes` boxes in parts.

        What the boxes share is computed here, once.
        """
        maps: dict[str, Tensor] = {level: features[level] for level in self.levels}
        reduce, side = self.reduce_channels, 2 * self.resolution
        if reduce is None or is_being_exported():
            return lambda boxes: self.from_samples(self._sampled(maps, boxes))
        layer = linear_at_points(maps, reduce.weight.flatten(1), num_boxes * side * side)

        def logits_in(boxes: list[Tensor]) -> Tensor:
            x = layer(self._grid(boxes), boxes).add_(cast(Tensor, reduce.bias)).relu_()
            return self._from_reduced(self._as_maps(x))

        return logits_in

    def from_samples(self, sampled: Tensor) -> Tensor:
        """Map features sampled over the boxes, (R, C, 2 M0, 2 M0), to logits (R, K, M0, M0)."""
        if self.reduce_channels is not None:
            sampled = F.relu(self.reduce_channels(sampled))
        return self._from_reduced(sampled)

    def _from_reduced(self, x: Tensor) -> Tensor:
        num_boxes = x.shape[0]
        x = through_fully_connected(self, F.relu(self.reduce(x)).flatten(1))
        x = self.prediction(x)
        return x.view(num_boxes, self.num_classes, self.resolution, self.resolution)

    def _grid(self, boxes: list[Tensor]) -> Tensor:
        side, num_boxes = 2 * self.resolution, sum(b.shape[0] for b in boxes)
        return regular_grid(side, side, device=boxes[0].device).expand(num_boxes, -1, -1)

    def _sampled(self, maps: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        return self._as_maps(sample_levels(maps, self._grid(boxes), boxes))

    def _as_maps(self, rows: Tensor) -> Tensor:
        """Arrange rows (R * 4 M0 M0, C) as maps (R, C, 2 M0, 2 M0)."""
        side = 2 * self.resolution
        return rows.view(-1, side, side, rows.shape[1]).permute(0, 3, 1, 2)
