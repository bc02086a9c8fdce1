"""Maps as tables with a row per cell: the fast way to sample the output of a linear layer.

Bilinear sampling is linear, so it commutes with linear layers: a map of few cells is projected
once, and its many points interpolate the results. Rows keep the channels of a cell side by side,
so a point reads four short runs of memory, not four cells in each of C channels.

Shapes and frames are those of `modeling.points`, whose `point_sample` gives the same numbers from
maps (R, C, H, W).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pointrend_repro.modeling.boxes import is_being_exported
from pointrend_repro.modeling.points import image_points, point_sample_in_boxes


class Neighbours(NamedTuple):
    """The four cells around each point.

    Attributes:
        cells: (4 N,) int64, rows of a table, four for each point.
        weights: (4 N,), of each row; those of a point sum to 1 inside a map.
        starts: (N,) int64, where a point's four begin.
    """

    cells: Tensor
    weights: Tensor
    starts: Tensor


def sample_rows(rows: Tensor, neighbours: Neighbours) -> Tensor:
    """Interpolate a table (cells, C) at points: (N, C)."""
    weights = neighbours.weights.to(rows.dtype)
    sampled: Tensor = F.embedding_bag(
        neighbours.cells, rows, neighbours.starts, per_sample_weights=weights, mode="sum"
    )
    return sampled


def sample_rows_in_boxes(
    features: Tensor, points: Tensor, boxes: list[Tensor], *, stride: float
) -> Tensor:
    """Sample a batch's feature map at points inside boxes, in rows.

    Channels-last maps, as on a CPU, are tables already. Others are sampled as they are: turning
    them into tables for few points would cost more.

    Args:
        features: (N, C, H, W), one map per image, `stride` image pixels per cell.
        points: (R, P, 2), box-normalised, in the order of the boxes of all images.
        boxes: N tensors (R_n, 4), xyxy in image pixels.

    Returns:
        (R * P, C).
    """
    if is_being_exported() or not features.is_contiguous(memory_format=torch.channels_last):
        sampled = point_sample_in_boxes(features, points, boxes, stride=stride)
        return sampled.transpose(1, 2).flatten(0, 1)
    size = features.shape[2], features.shape[3]
    around = neighbours_in_boxes(points, boxes, size, stride=stride)
    return sample_rows(features.permute(0, 2, 3, 1).flatten(0, 2), around)


def neighbours_in_maps(points: Tensor, maps: Tensor, height: int, width: int) -> Neighbours:
    """Find the cells around points in a table of several maps, one after another.

    Args:
        points: (R, P, 2), box-normalised over a map. Outside [0, 1] a map counts as zero.
        maps: (R,) int64, the number of each region's map.
        height: cells of a map.
        width: cells of a map.

    Returns:
        Neighbours of R * P points, in rows of a table (maps * height * width, C).
    """
    # Both axes and all four cells at once: on a GPU each operation is a launch. What there are two
    # of comes first, as a CPU is slow with short last dimensions.
    sides = points.new_tensor([width, height]).view(2, 1, 1)
    # A cell's centre is at + 0.5, as with align_corners=False.
    position = points.permute(2, 0, 1) * sides - 0.5
    before = position.floor()
    share = position - before
    cell = torch.stack([before, before + 1])  # (2, 2, R, P): before or after, x or y
    inside = (cell >= 0) & (cell < sides)
    # A diverged model must get as far as its loss, which names the images: the weight stays NaN.
    row = torch.where(inside, cell, 0).long()
    weight = torch.stack([1 - share, share]) * inside
    first = (maps * (height * width)).unsqueeze(1)
    cells = (first + row[:, 1] * width).unsqueeze(1) + row[:, 0]
    weights = weight[:, 1].unsqueeze(1) * weight[:, 0]
    cells, weights = (each.permute(2, 3, 0, 1).flatten() for each in (cells, weights))
    return Neighbours(cells, weights, torch.arange(0, cells.numel(), 4, device=cells.device))


def neighbours_in_boxes(
    points: Tensor, boxes: list[Tensor], size: tuple[int, int], *, stride: float
) -> Neighbours:
    """Find the cells around points inside boxes, each in the map of its own image.

    Args:
        points: (R, P, 2), box-normalised, in the order of the boxes of all images.
        boxes: N tensors (R_n, 4), xyxy in image pixels.
        size: height and width of a map in cells.
        stride: image pixels per cell.

    Returns:
        Neighbours of R * P points, in rows of a table (N * height * width, C).
    """
    height, width = size
    numbers = [torch.full((len(b),), i, device=points.device) for i, b in enumerate(boxes)]
    extent = points.new_tensor([width * stride, height * stride])
    where = image_points(points, torch.cat(boxes)) / extent
    return neighbours_in_maps(where, torch.cat(numbers), height, width)
