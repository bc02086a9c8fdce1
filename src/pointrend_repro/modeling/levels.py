"""Points on one or several maps side by side, and a linear layer of what they see there.

PointRend sees p2 alone; the 3D-FUTURE report's sees p2 to p6, so that a point has 1,280 numbers. A
linear layer of them is a sum of one linear layer a map, so they are never put side by side: the
points of a map are sampled, projected to the layer's width and added up.

Shapes: R boxes of all images, P points per box; points are box-normalised (see `modeling.points`).
Source of the frames: every map lies over the same area, so a point is the same place in each; p6 is
a map of 64 image pixels a cell (3DFuture_ins_seg at commit 6caaf9cd, point_rend/point_features.py).
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from pointrend_repro.modeling.backbone import STRIDES
from pointrend_repro.modeling.points import point_sample_in_boxes
from pointrend_repro.modeling.rows import (
    neighbours_in_boxes,
    sample_rows,
    sample_rows_in_boxes,
)

# Maps points (R, P, 2) in each image's boxes to (R * P, width).
PointLayer = Callable[[Tensor, list[Tensor]], Tensor]


def sample_levels(maps: Mapping[str, Tensor], points: Tensor, boxes: list[Tensor]) -> Tensor:
    """Sample maps, by the names of their levels, at points: (R * P, C of all), side by side."""
    samples = [
        sample_rows_in_boxes(one, points, boxes, stride=STRIDES[level])
        for level, one in maps.items()
    ]
    return samples[0] if len(samples) == 1 else torch.cat(samples, dim=1)


def sample_levels_in_graph(
    maps: Mapping[str, Tensor], points: Tensor, boxes: list[Tensor]
) -> Tensor:
    """Sample maps at points as other runtimes can: (R, C of all, P)."""
    samples = [
        point_sample_in_boxes(one, points, boxes, stride=STRIDES[level])
        for level, one in maps.items()
    ]
    return samples[0] if len(samples) == 1 else torch.cat(samples, dim=1)


def linear_at_points(maps: Mapping[str, Tensor], weight: Tensor, num_points: int) -> PointLayer:
    """Return the function that applies a linear layer without bias to maps side by side, at points.

    Args:
        maps: (N, C, H, W) each, by the names of their levels.
        weight: (width, C of all maps), its columns in the order of `maps`.
        num_points: how many points, of all boxes, are going to be asked for.
    """
    weights = weight.split([one.shape[1] for one in maps.values()], dim=1)
    layers = [
        _on_map(one, part, num_points, STRIDES[level])
        for (level, one), part in zip(maps.items(), weights, strict=True)
    ]
    if len(layers) == 1:
        return layers[0]

    def sum_of_levels(points: Tensor, boxes: list[Tensor]) -> Tensor:
        first, *others = layers
        total = first(points, boxes)
        for layer in others:
            total.add_(layer(points, boxes))
        return total

    return sum_of_levels


def _on_map(feature: Tensor, weight: Tensor, num_points: int, stride: int) -> PointLayer:
    """Return the function that applies a linear layer to one map at points.

    Projecting a cell costs as much as projecting a point, sampling a point from a map about as much
    again, and sampling a point from a table little. So the whole map is projected first if
    `num_points` is more than half of its cells.
    """
    size = feature.shape[2], feature.shape[3]

    def sample_first(points: Tensor, boxes: list[Tensor]) -> Tensor:
        return F.linear(sample_rows_in_boxes(feature, points, boxes, stride=stride), weight)

    if num_points * 2 <= size[0] * size[1] * len(feature):
        return sample_first
    projected = F.linear(feature.flatten(2).transpose(1, 2), weight).flatten(0, 1)

    def sample_projected(points: Tensor, boxes: list[Tensor]) -> Tensor:
        return sample_rows(projected, neighbours_in_boxes(points, boxes, size, stride=stride))

    return sample_projected
