"""RoIAlign on rows: the fast way on a CPU, forward and backward.

A bin is the mean of bilinear samples on a grid inside it. Along one axis, the weight of a cell is
thus the mean of hat functions around the samples, max(0, 1 - |sample - cell|), and in the plane the
product of both axes' weights. A bin of g x g samples reads (g + 1)^2 cells instead of 4 g^2, each
with all of its channels, which lie side by side in channels-last maps.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# How many RoIs of about the same number of samples have their weights computed at once.
_ROIS_AT_A_TIME = 32


def roi_align_rows(feature: Tensor, rois: Tensor, resolution: int, stride: float) -> Tensor:
    """Crop RoIs as `torchvision.ops.roi_align` does, aligned and with `sampling_ratio=0`.

    Args:
        feature: (N, C, H, W); copied unless it is channels-last.
        rois: (R, 5), the image's number and xyxy in image pixels; R >= 1.
        resolution: side S of the result.
        stride: image pixels per cell.

    Returns:
        (R, C, S, S), channels-last.
    """
    channels, height, width = feature.shape[1:]
    table = feature.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    numbers = rois[:, 0].long()
    starts = rois[:, 1:3] / stride - 0.5  # x, y in cells whose centres are whole numbers
    bins = (rois[:, 3:] - rois[:, 1:3]) / (stride * resolution)
    samples = bins.ceil().clamp(min=1)
    order = (samples[:, 1] * (samples[:, 0].max() + 1) + samples[:, 0]).argsort()
    bags = []
    for part in order.split(_ROIS_AT_A_TIME):
        across, down = (
            _tents(starts[part, axis], bins[part, axis], samples[part, axis], cells, resolution)
            for axis, cells in ((0, width), (1, height))
        )
        bags.append(_bags(numbers[part, None, None] * height, down, across, width))
    counts = torch.cat([b.counts for b in bags])
    pooled = F.embedding_bag(
        torch.cat([b.cells for b in bags]),
        table.reshape(-1, channels),
        counts.cumsum(0) - counts,
        per_sample_weights=torch.cat([b.weights for b in bags]),
        mode="sum",
    )
    in_order = pooled.view(len(rois), resolution, resolution, channels)[order.argsort()]
    return in_order.permute(0, 3, 1, 2)


class _Tents(NamedTuple):
    """The cells of an axis that each bin reads, and their weights, both (R, S, cells)."""

    cells: Tensor
    weights: Tensor


def _tents(starts: Tensor, bins: Tensor, samples: Tensor, cells: int, resolution: int) -> _Tents:
    """Weigh an axis's cells for RoIs with these starts, bin sizes, samples per bin, each (R,)."""
    most = int(samples.max())
    samples = samples[:, None, None]
    sample = torch.arange(most, device=bins.device)
    in_bins = torch.arange(resolution, device=bins.device)[:, None] + (sample + 0.5) / samples
    at = starts[:, None, None] + in_bins * bins[:, None, None]
    # A sample more than one cell outside counts as zero; nearer, as the cell at the edge.
    counts = (sample < samples) & (at >= -1) & (at <= cells)
    at = at.clamp(0, cells - 1)
    near = at[..., :1].floor() + torch.arange(most + 1, device=bins.device)
    tents = (1 - (at.unsqueeze(2) - near.unsqueeze(3)).abs()).clamp(min=0)
    weights = (tents * (counts / samples).unsqueeze(2)).sum(dim=3)
    return _Tents(near.clamp(max=cells - 1).long(), weights)


class _Bags(NamedTuple):
    """What each bin sums: `counts` of rows and weights, one bin after another."""

    cells: Tensor
    weights: Tensor
    counts: Tensor


def _bags(first_rows: Tensor, down: _Tents, across: _Tents, width: int) -> _Bags:
    rows = (first_rows + down.cells) * width
    cells = rows[:, :, None, :, None] + across.cells[:, None, :, None, :]
    weights = down.weights[:, :, None, :, None] * across.weights[:, None, :, None, :]
    bins, bag = cells.shape[:3].numel(), cells.shape[3:].numel()
    return _Bags(cells.flatten(), weights.flatten(), cells.new_full((bins,), bag))
