"""Which cells learn which object, and at what mask (SOLO, 1912.04488, section 3.3.1).

An object is learned on the levels whose range holds the square root of its box's area, by the
cells in the middle of it: those that the shrunk box around its centre of mass touches, three by
three at most. The rounding is mmdetection's (3.3, `models/dense_heads/solov2_head.py`).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pointrend_repro.data.structures import Target
from pointrend_repro.settings.solov2 import SoloHeadSettings

MASK_STRIDE = 4  # image pixels per cell of the mask map


@dataclass(frozen=True)
class LevelTargets:
    """What the cells of one level learn of one image.

    Attributes:
        labels: (S * S,) int64, classes; the number of classes where there is no object. Of several
            objects that share a cell the last counts.
        cells: (P,) int64, indices into these, of each pair of a cell and an object that it learns.
        objects: (P,) int64, indices into the image's target.
    """

    labels: Tensor
    cells: Tensor
    objects: Tensor


def image_targets(
    target: Target, padded: tuple[int, int], num_classes: int, settings: SoloHeadSettings
) -> list[LevelTargets]:
    """Return what each level's cells learn of an image.

    Args:
        target: of G objects.
        padded: height and width of the batch, in pixels; the grids cover all of it.
        num_classes: K.
        settings: grids and ranges.
    """
    middles = _middles(target, settings.center_share)
    sides = target.boxes[:, 2:] - target.boxes[:, :2]
    root = (sides[:, 0] * sides[:, 1]).sqrt()
    has_pixels = target.masks.flatten(1).any(dim=1)
    found = []
    for grid, (low, high) in zip(settings.grids, settings.ranges_px, strict=True):
        chosen = ((root >= low) & (root <= high) & has_pixels).nonzero().flatten()
        found.append(_level(target.labels, middles, chosen, padded, grid, num_classes))
    return found


def small_masks(masks: Tensor, padded: tuple[int, int]) -> Tensor:
    """Return masks (G, H, W) at the mask map's resolution, (G, H' / 4, W' / 4) float, 0 or 1.

    A cell belongs to an object if two of the four pixels in its middle do: what OpenCV's bilinear
    resizing makes of 8-bit masks, which the authors' code learns from.

    Args:
        masks: bool.
        padded: H' and W', multiples of 4.
    """
    height, width = padded
    whole = F.pad(masks.float(), (0, width - masks.shape[2], 0, height - masks.shape[1]))
    middle = whole.new_zeros(whole.shape[0], 2, height // MASK_STRIDE, width // MASK_STRIDE)
    for row in (1, 2):
        for column in (1, 2):
            middle[:, 0] += whole[:, row::MASK_STRIDE, column::MASK_STRIDE]
    return (middle[:, 0] >= 2).float()


def _middles(target: Target, share: float) -> Tensor:
    """Return centres of mass and the halves of shrunk boxes, (G, 4): y, x, half y, half x.

    A pixel's place is its index, not its middle, as in mmdetection.
    """
    height, width = target.masks.shape[1:]
    device = target.masks.device
    counts = target.masks.sum(dim=2), target.masks.sum(dim=1)  # by row, by column
    pixels = counts[0].sum(dim=1).float().clamp(min=1e-6)
    along = torch.arange(height, device=device), torch.arange(width, device=device)
    y, x = ((c * a).sum(dim=1) / pixels for c, a in zip(counts, along, strict=True))
    half = 0.5 * (target.boxes[:, 2:] - target.boxes[:, :2]) * share
    return torch.stack([y, x, half[:, 1], half[:, 0]], dim=1)


def _level(
    labels: Tensor,
    middles: Tensor,
    chosen: Tensor,
    padded: tuple[int, int],
    grid: int,
    num_classes: int,
) -> LevelTargets:
    edges = middles.new_tensor(padded)
    centre, half = middles[chosen, :2], middles[chosen, 2:]

    def cell(place: Tensor) -> Tensor:
        return torch.div(place / edges, 1.0 / grid, rounding_mode="trunc").long()

    own = cell(centre)
    first = torch.maximum(cell(centre - half).clamp(min=0), own - 1)
    last = torch.minimum(cell(centre + half).clamp(max=grid - 1), own + 1)
    owners: dict[int, int] = {}  # of each cell, the last object; a device would choose any
    cells: list[int] = []
    objects: list[int] = []
    for k, (top, left), (down, right) in zip(
        chosen.tolist(), first.tolist(), last.tolist(), strict=True
    ):
        its = [i * grid + j for i in range(top, down + 1) for j in range(left, right + 1)]
        owners |= dict.fromkeys(its, k)
        cells += its
        objects += [k] * len(its)
    indices = torch.tensor([cells, objects], dtype=torch.int64, device=labels.device)
    owned = torch.tensor([[*owners], [*owners.values()]], dtype=torch.int64, device=labels.device)
    of_cells = labels.new_full((grid * grid,), num_classes)
    of_cells[owned[0]] = labels[owned[1]]
    return LevelTargets(of_cells, *indices)
