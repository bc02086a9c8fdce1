"""Selects the most uncertain cells of a large grid, in the order in which they lie in memory."""

import torch
from torch import Tensor

# A threshold is estimated from one cell in this many.
_SAMPLED = 64
_LARGE = 2**16


def uncertain_cells(uncertainty: Tensor, num_points: int) -> tuple[Tensor, Tensor]:
    """Find the most uncertain cells of grids, as `points.most_uncertain_points` does.

    They come row by row: sampled in this order, neighbours read the same memory, which takes a
    third of the time.

    Args:
        uncertainty: (N, H, W), larger where less certain.
        num_points: P, at most H * W.

    Returns:
        Indices (N, P) into the flattened grid, ascending, and the cells' centres (N, P, 2),
        box-normalised.
    """
    height, width = uncertainty.shape[1:]
    flat = uncertainty.flatten(1)
    index = torch.stack([_largest(one, num_points) for one in flat]).sort(dim=1).values
    x = (index % width).to(uncertainty.dtype)
    y = torch.div(index, width, rounding_mode="floor").to(uncertainty.dtype)
    return index, torch.stack([(x + 0.5) / width, (y + 0.5) / height], dim=2)


def _largest(values: Tensor, count: int) -> Tensor:
    """Return the indices of the `count` largest of many values (n,).

    `topk` is slow for many values, so values below a threshold are dropped first; the threshold is
    chosen so that about twice as many values as needed pass it.
    """
    if len(values) >= _LARGE and values.device.type == "cpu":
        sample = values[::_SAMPLED]
        passing = min(2 * count // _SAMPLED + 1, len(sample))
        left = (values >= sample.topk(passing).values[-1]).nonzero().squeeze(1)
        if len(left) >= count:  # else the sample was not representative
            return left[values[left].topk(count, sorted=False).indices]
    return values.topk(count, sorted=False).indices
