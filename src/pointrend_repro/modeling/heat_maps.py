"""From heat maps over boxes to keypoints, without enlarging the maps to their boxes.

A keypoint is the pixel with the largest value after its map has been resized, bicubically, to the
whole pixels of its box (detectron2 commit 02b5c4e2, structures/keypoints.py; the paper does not
say). detectron2 resizes one box after another. Here a bound says which parts of a map can hold the
largest value, and only their pixels are computed, of all maps together. Memory depends on how many
these are, not on the largest box.

The four points of a map around a pixel form a cell. Along an axis, a value in it is a cubic
combination of four points in a row: the two inner ones have positive weights, the two outer ones
negative weights with a sum of at most `_OVERSHOOT`. Hence the bounds in `_bound_above`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pointrend_repro.modeling.precision import in_float32

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
    with in_float32(maps.device):
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
    found = _Largest(*resizing.near_peaks())
    found.add(*resizing.largest_in(resizing.around_peaks()))
    found.add(*resizing.largest_in(resizing.can_reach(found.values)))
    return found.values, found.places // resizing.width, found.places % resizing.width


class _Largest:
    """The largest values (Q,) found so far, and the first of the places (Q,) that have them.

    A place is a pixel's number, row by row.
    """

    def __init__(self, values: Tensor, places: Tensor) -> None:
        self.values = values
        self.places = places

    def add(self, q: Tensor, values: Tensor, places: Tensor) -> None:
        """Take account of values (B,) at places (B,) of the maps with the numbers q (B,)."""
        best = self.values.scatter_reduce(0, q, values, "amax")
        is_best = values == best[q]
        last = torch.iinfo(torch.int64).max
        # A map of NaN, whose maximum equals nothing, keeps its place.
        before = torch.where(self.values < best, last, self.places)
        self.places = before.scatter_reduce(0, q[is_best], places[is_best], "amin")
        self.values = best


class _Resizing:
    """Maps (Q, S, S), the sizes (Q, 2) to which they are resized, and their values there."""

    def __init__(self, maps: Tensor, sizes: Tensor) -> None:
        self.maps = maps
        self.side = maps.shape[-1]
        self.width, self.height = sizes.unbind(1)
        self.padded = F.pad(maps.unsqueeze(1), (2, 2, 2, 2), mode="replicate").squeeze(1)
        self.first_x = _first_pixels(self.width, self.side)
        self.first_y = _first_pixels(self.height, self.side)

        peak = maps.flatten(1).argmax(dim=1)
        self.peak_y, self.peak_x = peak // self.side, peak % self.side

    def near_peaks(self) -> tuple[Tensor, Tensor]:
        """Return the values of the pixels nearest to the maps' own maxima, and their places."""
        q = torch.arange(len(self.maps), device=self.maps.device)
        column = _nearest_pixel(self.peak_x, self.width, self.side)
        row = _nearest_pixel(self.peak_y, self.height, self.side)
        cell_x = torch.searchsorted(self.first_x, column.unsqueeze(1), right=True).squeeze(1) - 1
        cell_y = torch.searchsorted(self.first_y, row.unsqueeze(1), right=True).squeeze(1) - 1
        values = self._values(q, cell_y, cell_x, row.unsqueeze(1), column.unsqueeze(1))
        return values.flatten(), row * self.width + column

    def around_peaks(self) -> Tensor:
        """Return (C, 3): the cells around each map's own maximum, where its largest pixel often is.

        A cell is given by the number of its map, its row and its column.
        """
        q = torch.arange(len(self.maps), device=self.maps.device)
        cells = [
            torch.stack([q, self.peak_y + below, self.peak_x + beside], dim=1)
            for below in (0, 1)
            for beside in (0, 1)
        ]
        return torch.cat(cells)

    def can_reach(self, values: Tensor) -> Tensor:
        """Return (C, 3): the cells in which a pixel can have this value, or a larger one."""
        parts = zip(self.padded.split(_MAPS_AT_ONCE), values.split(_MAPS_AT_ONCE), strict=True)
        is_enough = torch.cat([_bounds(maps) >= value[:, None, None] for maps, value in parts])
        has_row, has_column = (first.diff() > 0 for first in (self.first_y, self.first_x))
        return torch.nonzero(is_enough & has_row.unsqueeze(2) & has_column.unsqueeze(1))

    def largest_in(self, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the number of the map, the largest value and its place, of blocks of cells."""
        blocks = self.blocks_in(*cells.unbind(1)).prod(dim=0)
        shares = (blocks.cumsum(0) // _BLOCKS_AT_ONCE).bincount().tolist()
        parts = [self.largest_of_blocks(*part.unbind(1)) for part in cells.split(shares or [0])]
        q, values, places = (torch.cat(each) for each in zip(*parts, strict=True))
        return q, values, places

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
    upper, lower = _bound_above(padded, padded, dim=2), _bound_below(padded, padded, dim=2)
    return _bound_above(upper, lower, dim=1)


def _bound_above(upper: Tensor, lower: Tensor, dim: int) -> Tensor:
    """Bound from above what lies between the inner points along an axis, three of which go.

    Args:
        upper: bounds of the points from above; `lower` from below.
    """
    inner = torch.maximum(_shifted(upper, 1, dim), _shifted(upper, 2, dim))
    outer = torch.minimum(_shifted(lower, 0, dim), _shifted(lower, 3, dim))
    return inner.add((inner - outer).clamp_(min=0), alpha=_OVERSHOOT)


def _bound_below(upper: Tensor, lower: Tensor, dim: int) -> Tensor:
    """Bound the same from below."""
    inner = torch.minimum(_shifted(lower, 1, dim), _shifted(lower, 2, dim))
    outer = torch.maximum(_shifted(upper, 0, dim), _shifted(upper, 3, dim))
    return inner.sub((outer - inner).clamp_(min=0), alpha=_OVERSHOOT)


def _shifted(points: Tensor, start: int, dim: int) -> Tensor:
    return points.narrow(dim, start, points.shape[dim] - 3)


def _weights(t: Tensor) -> Tensor:
    """Return (..., 4): the weights of the four points around t, which lies in [0, 1]."""
    s = 1 - t
    outer, outer_after = _A * t * s * s, _A * s * t * t
    inner = ((_A + 2) * t - (_A + 3)) * t * t + 1
    inner_after = ((_A + 2) * s - (_A + 3)) * s * s + 1
    return torch.stack([outer, inner, inner_after, outer_after], dim=-1)
