"""From heat maps over boxes to keypoints, without enlarging the maps to their boxes.

A keypoint is the pixel with the largest value after its map has been resized, bicubically, to the
whole pixels of its box (detectron2 commit 02b5c4e2, structures/keypoints.py; the paper does not
say). detectron2 resizes one box after another. Here a bound says which parts of a map can hold the
largest value, and only their pixels are computed, of all maps together. Memory depends on how many
these are, not on the largest box.

The four points of a map around a pixel form a cell. Along an axis, a value in it is a cubic
combination of four points in a row: the two inner ones have positive weights, the two outer ones
negative weights with a sum of at most `_OVERSHOOT`. Hence the bounds in `_bounds_along`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# Of the cubic kernel (PyTorch, OpenCV).
_A = -0.75
# -A t (1 - t), the outer points' weights at t between two inner points, is largest at t = 1/2.
_OVERSHOOT = -_A / 4
# Pixels along the edge of a block, the unit of work; blocks that are in memory at once.
_BLOCK = 4
_BLOCKS_AT_ONCE = 1 << 16
# Maps whose bounds are computed at once, in a processor's cache.
_MAPS_AT_ONCE = 64


def keypoints_of_maps(logits: Tensor, boxes: Tensor) -> Tensor:
    """Return keypoints (R, K, 3): x and y in image pixels, and a score.

    A score is the softmax probability of the pixel's logit among the logits of the original map, so
    that those of boxes of different sizes can be compared. It can exceed 1 a little, where the
    resized map overshoots. Of pixels with equal values the first one counts, row by row; where
    values differ by rounding errors only, it is undefined which of them wins.

    Args:
        logits: (R, K, S, S), over boxes.
        boxes: (R, 4), xyxy in image pixels; a side below one pixel counts as one.
    """
    count, num_keypoints, side, _ = logits.shape
    sizes = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)
    pixels = sizes.ceil()
    maps = logits.reshape(-1, side, side).float()
    value, row, column = largest_pixels(maps, pixels.repeat_interleave(num_keypoints, dim=0))
    places = torch.stack([column, row], dim=1).view(count, num_keypoints, 2) + 0.5
    points = places * (sizes / pixels).unsqueeze(1) + boxes[:, None, :2]
    scores = (value - maps.flatten(1).logsumexp(dim=1)).exp()
    return torch.cat([points, scores.view(count, num_keypoints, 1)], dim=2)


def largest_pixels(maps: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the largest values (Q,) of resized maps, and their rows and columns (Q,).

    Args:
        maps: (Q, S, S) float.
        sizes: (Q, 2), width and height in whole pixels to which each map is resized.
    """
    if len(maps) == 0:
        return maps.new_zeros(0), *torch.zeros(2, 0, dtype=torch.int64, device=maps.device)
    resizing = _Resizing(maps, sizes.to(torch.int64))
    numbers = torch.arange(len(maps), device=maps.device)
    start, place = resizing.near_peaks()
    q, cell_y, cell_x = torch.nonzero(resizing.can_reach(start), as_tuple=True)
    found = [(numbers, start, place)]
    blocks = resizing.blocks_in(q, cell_y, cell_x).prod(dim=0)
    shares = (blocks.cumsum(0) // _BLOCKS_AT_ONCE).bincount().tolist()
    for part in zip(q.split(shares), cell_y.split(shares), cell_x.split(shares), strict=True):
        found.append(resizing.largest_of_blocks(*part))
    q, values, places = (torch.cat(each) for each in zip(*found, strict=True))
    best = start.scatter_reduce(0, q, values, "amax")
    # The first place of those with the largest value; any place for a map of NaN.
    is_best = values == best[q]
    first = place.new_full(place.shape, torch.iinfo(torch.int64).max)
    first = first.scatter_reduce(0, q[is_best], places[is_best], "amin")
    first = torch.where(best.isnan(), place, first)
    width = resizing.width
    return best, first // width, first % width


class _Resizing:
    """Maps (Q, S, S), the sizes (Q, 2) to which they are resized, and their values there."""

    def __init__(self, maps: Tensor, sizes: Tensor) -> None:
        self.maps = maps
        self.side = maps.shape[-1]
        self.width, self.height = sizes.unbind(1)
        self.padded = F.pad(maps.unsqueeze(1), (2, 2, 2, 2), mode="replicate").squeeze(1)
        self.first_x = _first_pixels(self.width, self.side)
        self.first_y = _first_pixels(self.height, self.side)

    def near_peaks(self) -> tuple[Tensor, Tensor]:
        """Return the values of the pixels nearest to the maps' own maxima, and their places."""
        q = torch.arange(len(self.maps), device=self.maps.device)
        peak = self.maps.flatten(1).argmax(dim=1)
        column = _nearest_pixel(peak % self.side, self.width, self.side)
        row = _nearest_pixel(peak // self.side, self.height, self.side)
        cell_x = torch.searchsorted(self.first_x, column.unsqueeze(1), right=True).squeeze(1) - 1
        cell_y = torch.searchsorted(self.first_y, row.unsqueeze(1), right=True).squeeze(1) - 1
        values = self._values(q, cell_y, cell_x, row.unsqueeze(1), column.unsqueeze(1))
        return values.flatten(), row * self.width + column

    def can_reach(self, values: Tensor) -> Tensor:
        """Return (Q, S + 1, S + 1) bool: whether a cell has a pixel with this value or more."""
        parts = zip(self.padded.split(_MAPS_AT_ONCE), values.split(_MAPS_AT_ONCE), strict=True)
        is_enough = torch.cat([_bounds(maps) >= value[:, None, None] for maps, value in parts])
        has_row, has_column = (first.diff() > 0 for first in (self.first_y, self.first_x))
        return is_enough & has_row.unsqueeze(2) & has_column.unsqueeze(1)

    def blocks_in(self, q: Tensor, cell_y: Tensor, cell_x: Tensor) -> Tensor:
        """Return (2, C): how many blocks below and beside each other cover each cell's pixels."""
        rows = self.first_y[q, cell_y + 1] - self.first_y[q, cell_y]
        columns = self.first_x[q, cell_x + 1] - self.first_x[q, cell_x]
        return (torch.stack([rows, columns]) + _BLOCK - 1) // _BLOCK

    def largest_of_blocks(
        self, q: Tensor, cell_y: Tensor, cell_x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the map's number, the largest value and its place, of each block of cells."""
        below, beside = self.blocks_in(q, cell_y, cell_x)
        counts = below * beside
        cells = torch.arange(len(q), device=q.device).repeat_interleave(counts)
        number = torch.arange(len(cells), device=q.device) - (counts.cumsum(0) - counts)[cells]
        q, cell_y, cell_x, beside = q[cells], cell_y[cells], cell_x[cells], beside[cells]
        inside = torch.arange(_BLOCK, device=q.device)
        row = (self.first_y[q, cell_y] + _BLOCK * (number // beside)).unsqueeze(1) + inside
        column = (self.first_x[q, cell_x] + _BLOCK * (number % beside)).unsqueeze(1) + inside
        values = self._values(q, cell_y, cell_x, row, column)
        is_in_cell = (row < self.first_y[q, cell_y + 1, None]).unsqueeze(2) & (
            column < self.first_x[q, cell_x + 1, None]
        ).unsqueeze(1)
        best, at = values.masked_fill(~is_in_cell, -torch.inf).flatten(1).max(dim=1)
        rows, columns = at // _BLOCK + row[:, 0], at % _BLOCK + column[:, 0]
        return q, best, rows * self.width[q] + columns

    def _values(
        self, q: Tensor, cell_y: Tensor, cell_x: Tensor, row: Tensor, column: Tensor
    ) -> Tensor:
        """Return (B, N, M): the values at rows (B, N) and columns (B, M) of cells (B,)."""
        four = torch.arange(4, device=q.device)
        taps_y, taps_x = cell_y.unsqueeze(1) + four, cell_x.unsqueeze(1) + four
        points = self.padded[q[:, None, None], taps_y.unsqueeze(2), taps_x.unsqueeze(1)]
        y = _position(row, self.height[q, None], self.side) - (cell_y.unsqueeze(1) - 1)
        x = _position(column, self.width[q, None], self.side) - (cell_x.unsqueeze(1) - 1)
        return _weights(y.float()) @ points @ _weights(x.float()).mT


def _position(pixel: Tensor, count: Tensor, side: int) -> Tensor:
    """Return where the centre of a pixel lies in the map, in points; the first point is at 0."""
    return (pixel.double() + 0.5) * side / count - 0.5


def _nearest_pixel(point: Tensor, count: Tensor, side: int) -> Tensor:
    nearest = ((point.double() + 0.5) * count / side - 0.5).round().to(torch.int64)
    return nearest.clamp(min=0).minimum(count - 1)


def _first_pixels(count: Tensor, side: int) -> Tensor:
    """Return (Q, S + 2): the first pixel in each cell along an axis, and the number of pixels.

    Cell k, from 0 to S, lies between the points k - 1 and k; the outermost points are repeated.
    """
    points = torch.arange(-1, side + 1, dtype=torch.float64, device=count.device)
    first = torch.ceil((points + 0.5) * count.unsqueeze(1) / side - 0.5).to(torch.int64)
    return first.clamp(min=0).minimum(count.unsqueeze(1))


def _bounds(padded: Tensor) -> Tensor:
    """Bound the values in each cell of padded maps (Q, S + 4, S + 4) from above."""
    rows = _bounds_along(padded, padded, dim=2)
    return _bounds_along(*rows, dim=1)[0]


def _bounds_along(upper: Tensor, lower: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Bound what lies between inner points along one axis, from above and below.

    Args:
        upper: bounds of the points from above; `lower` from below.
        dim: the axis, which becomes shorter by three.
    """
    count = upper.shape[dim] - 3
    high, low = ([t.narrow(dim, k, count) for k in range(4)] for t in (upper, lower))
    inner_max, outer_max = torch.maximum(high[1], high[2]), torch.maximum(high[0], high[3])
    inner_min, outer_min = torch.minimum(low[1], low[2]), torch.minimum(low[0], low[3])
    return (
        inner_max + _OVERSHOOT * (inner_max - outer_min).clamp(min=0),
        inner_min - _OVERSHOOT * (outer_max - inner_min).clamp(min=0),
    )


def _weights(t: Tensor) -> Tensor:
    """Return (..., 4): the weights of the four points around t, which lies in [0, 1]."""
    s = 1 - t
    outer, outer_after = _A * t * s * s, _A * s * t * t
    inner = ((_A + 2) * t - (_A + 3)) * t * t + 1
    inner_after = ((_A + 2) * s - (_A + 3)) * s * s + 1
    return torch.stack([outer, inner, inner_after, outer_after], dim=-1)
