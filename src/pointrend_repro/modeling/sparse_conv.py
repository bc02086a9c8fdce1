"""A convolution's outputs at selected cells, for losses that use few of them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_at_cells(conv: nn.Conv2d, features: Tensor, cells: Tensor) -> Tensor:
    """Compute a convolution at selected cells, which is cheaper when they are few.

    Args:
        conv: 3x3, stride 1, padding 1.
        features: (N, C, H, W); copied unless it is channels-last.
        cells: (S,) int64, cell numbers, row by row and map after map.

    Returns:
        (S, C').
    """
    channels, height, width = features.shape[1:]
    rows = features.permute(0, 2, 3, 1).reshape(-1, channels)
    x, y = cells % width, cells // width % height
    patches = []
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            inside = (x + dx >= 0) & (x + dx < width) & (y + dy >= 0) & (y + dy < height)
            row = torch.where(inside, cells + dy * width + dx, cells)
            patches.append(rows[row] * inside.unsqueeze(1))
    weight = conv.weight.permute(0, 2, 3, 1).flatten(1)
    return F.linear(torch.cat(patches, dim=1), weight, conv.bias)
