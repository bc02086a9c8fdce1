"""Doubles a map of logits a few rows at a time, for uses that do not need the whole of it.

In a doubling that treats cells as areas (`align_corners=False`) every result is 3/4 of its own cell
and 1/4 of the next one, on either axis. So the even and odd rows and columns are four maps of the
original size, each computed by whole-map arithmetic, and they need not be interleaved until only
one channel is left: `interpolate` takes four times as long and does less.

Shapes: N images, K classes, H x W cells before the doubling.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pointrend_repro.modeling.semantic.ranking import most_likely

# How many cells at a time, per thread: all of their classes stay in the cache. On a GPU, where a
# call costs more than its cache saves, only memory matters.
_CELLS_A_THREAD, _CELLS_ON_A_GPU = 2**13, 2**19


class Doubled(NamedTuple):
    """What is kept from doubled logits.

    Attributes:
        uncertainty: (N, 2H, 2W).
        labels: (N, 2H, 2W) uint8, the most likely classes.
    """

    uncertainty: Tensor
    labels: Tensor


def doubled(logits: Tensor, uncertainty: Callable[[Tensor], Tensor]) -> Doubled:
    """Double logits (N, K, H, W), and keep their uncertainty and the most likely classes.

    Args:
        logits: of at most 255 classes.
        uncertainty: maps logits (N, K, ...) to (N, ...), cell by cell.
    """
    images, _, height, width = logits.shape
    shape = images, height, 2, width, 2
    unsure = logits.new_empty(shape)
    labels = torch.empty(shape, device=logits.device, dtype=torch.uint8)
    first = 0
    for strip in _strips(logits):
        rows = slice(first, first := first + strip.shape[4])
        # (N, even or odd row, even or odd column, rows, W)
        unsure[:, rows] = uncertainty(strip).permute(0, 3, 1, 4, 2)
        labels[:, rows] = most_likely(strip).permute(0, 3, 1, 4, 2)
    return Doubled(*(m.view(images, 2 * height, 2 * width) for m in (unsure, labels)))


def _strips(logits: Tensor) -> Iterator[Tensor]:
    """Yield the doubled logits a few rows at a time: (N, K, 2, 2, rows, W)."""
    height, width = logits.shape[2:]
    on_cpu = logits.device.type == "cpu"
    cells = _CELLS_A_THREAD * torch.get_num_threads() if on_cpu else _CELLS_ON_A_GPU
    rows = max(1, cells // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        inside = logits[:, :, max(top - 1, 0) : bottom + 1]
        # Beyond its borders a map repeats its outermost cells.
        beyond = (1, 1, int(top == 0), int(bottom == height))
        yield _doubled_inside(F.pad(inside, beyond, mode="replicate"))


def _doubled_inside(x: Tensor) -> Tensor:
    """Double the inner cells of (N, K, rows + 2, W + 2)."""
    images, classes, rows, width = x.shape
    halves = x.new_empty(images, classes, 2, rows - 2, width)
    for parity, beside in enumerate((x[:, :, :-2], x[:, :, 2:])):
        torch.lerp(x[:, :, 1:-1], beside, 0.25, out=halves[:, :, parity])
    result = x.new_empty(images, classes, 2, 2, rows - 2, width - 2)
    for parity, beside in enumerate((halves[..., :-2], halves[..., 2:])):
        torch.lerp(halves[..., 1:-1], beside, 0.25, out=result[:, :, :, parity])
    return result
