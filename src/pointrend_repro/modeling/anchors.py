"""Anchor boxes of the region proposal network, unrounded, centred on the cells' corners."""

import torch
from torch import Tensor


def cell_anchors(size_px: float, ratios: tuple[float, ...]) -> Tensor:
    """Return the anchors (A, 4) around the origin: area size^2, height / width = ratio."""
    ratio = torch.tensor(ratios, device="cpu")  # also of a model without memory (`meta`)
    width = size_px / ratio.sqrt()
    height = width * ratio
    return torch.stack([-width, -height, width, height], dim=1) / 2


def grid_anchors(anchors: Tensor, feature_map: Tensor, stride: int) -> Tensor:
    """Repeat a cell's anchors over a feature map (N, C, H, W).

    The anchors of cell (i, j) are centred on image point (j * stride, i * stride), as in
    detectron2 (offset 0); torchvision rounds them.

    Returns:
        (H * W * A, 4), the anchors of a cell beside each other.
    """
    height, width = feature_map.shape[2:]
    device = feature_map.device
    x = torch.arange(width, device=device, dtype=torch.float32) * stride
    y = torch.arange(height, device=device, dtype=torch.float32) * stride
    y, x = torch.meshgrid(y, x, indexing="ij")
    shifts = torch.stack([x, y, x, y], dim=-1).view(-1, 1, 4)
    return (shifts + anchors.to(device)).view(-1, 4)
