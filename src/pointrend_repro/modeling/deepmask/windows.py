"""The windows of an image that DeepMask or SharpMask scores highest, and the masks in them.

The network sees the whole image at several sizes (SharpMask, section 3.3; the numbers are those of
the authors' code at commit 280a716b). A window is a patch of W x W pixels at one of them; it
belongs to a cell of the trunk's last map, and the window of cell (y, x) is centred at (y, x) times
the stride, in pixels of the resized image. So the image gets a border of W / 2 grey pixels, and
more at the right and at the bottom until the stride divides its sides: every window then lies
inside. An image that is smaller than a window at every size is nothing special.

All windows share the trunk, their vectors, scores and skip features, which are computed
convolutionally. Only masks differ from window to window. They are made for the N windows of the
highest scores, a few at a time: what is kept of each is a vector of 512 numbers, and the crops of
its skip features exist only while it is refined. So N windows take memory, not all that are scored.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pointrend_repro.data.patch_cutting import GREY
from pointrend_repro.modeling.deepmask.model import DeepMask
from pointrend_repro.modeling.precision import computing_in
from pointrend_repro.settings.deepmask_inference import DeepMaskInferenceSettings

# At W = 160 the skip features and the masks of so many take about 20 MB.
WINDOWS_PER_STEP = 64


@dataclass(frozen=True)
class Level:
    """An image at one of its sizes.

    Attributes:
        scale: (x, y), pixels at this size for each pixel of the image.
        skips: the refinement's maps of the whole level, (1, C, H, W) each, coarse to fine; none if
            masks are not refined, or refined without them.
    """

    scale: tuple[float, float]
    skips: list[Tensor]


@dataclass(frozen=True)
class Windows:
    """Windows of one image, highest-scoring first. R windows.

    Attributes:
        scores: (R,), probabilities.
        levels: (R,) int64, places in `of_levels`.
        cells: (R, 2) int64, row and column of each window's first cell.
        vectors: (R, D), from which a window's mask is made.
        of_levels: the image's sizes.
    """

    scores: Tensor
    levels: Tensor
    cells: Tensor
    vectors: Tensor
    of_levels: list[Level]

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, keep: Any) -> "Windows":
        """Return the windows at indices or in a slice."""
        parts = self.scores, self.levels, self.cells, self.vectors
        scores, levels, cells, vectors = (part[keep] for part in parts)
        return Windows(scores, levels, cells, vectors, self.of_levels)


@torch.no_grad()
def find_windows(
    model: DeepMask, image: Tensor, settings: DeepMaskInferenceSettings, *, at_most: int | None
) -> Windows:
    """Score all windows of an image and return the best.

    Equal scores stay in the order of sizes, from small to large, then of rows and columns.

    Args:
        model: in evaluation mode.
        image: (3, H, W), RGB in 0 to 255, on the model's device.
        settings: sizes, and which window goes with a score.
        at_most: how many windows are returned; None: all.
    """
    scales = settings.scales(model.settings.patch_px)
    found = [_of_level(model, image, scale, settings, at_most) for scale in scales]
    levels = [level for windows in found for level in windows.of_levels]
    numbers = [torch.full_like(windows.levels, number) for number, windows in enumerate(found)]
    scores = torch.cat([windows.scores for windows in found])
    order = _highest(scores, at_most)
    return Windows(
        scores[order],
        torch.cat(numbers)[order],
        torch.cat([windows.cells for windows in found])[order],
        torch.cat([windows.vectors for windows in found])[order],
        levels,
    )


def _of_level(
    model: DeepMask,
    image: Tensor,
    scale: float,
    settings: DeepMaskInferenceSettings,
    at_most: int | None,
) -> Windows:
    resized = resize(image, scale)
    with computing_in(settings.test.precision, image.device):
        features = model.features(with_border(resized, model)[None])
        reduced, vectors = model.bottleneck(features[0])
        scores = model.score_head(features[0], reduced, vectors)[0].float().sigmoid()
        skips = []
        if settings.refine and model.refinement is not None:
            skips = model.refinement.skips(features)
    best = _highest(scores.flatten(), at_most)
    cells = looked_up(best, scores.shape[1], settings.lookup)
    scales = (resized.shape[2] / image.shape[2], resized.shape[1] / image.shape[1])
    rows, columns = cells.unbind(1)
    return Windows(
        scores.flatten()[best],
        torch.zeros_like(best),
        cells,
        vectors[0][:, rows, columns].T,
        [Level(scales, skips)],
    )


def _highest(scores: Tensor, at_most: int | None) -> Tensor:
    return scores.sort(descending=True, stable=True).indices[:at_most]


def resize(image: Tensor, scale: float) -> Tensor:
    """Resize an image, (3, H, W), bilinearly with antialiasing, as training patches are."""
    size = [max(round(side * scale), 1) for side in image.shape[1:]]
    if size == list(image.shape[1:]):
        return image.float()
    return F.interpolate(image[None].float(), size=size, mode="bilinear", antialias=True)[0]


def with_border(image: Tensor, model: DeepMask) -> Tensor:
    """Add the grey border in which the windows of all cells lie, (3, H', W')."""
    half = model.settings.patch_px // 2
    height, width = image.shape[1:]
    right, bottom = (half + (-side) % model.stride for side in (width, height))
    return F.pad(image, (half, right, half, bottom), value=GREY)


def looked_up(best: Tensor, columns: int, lookup: str) -> Tensor:
    """Return the cell, (row, column), of the mask that goes with each score, (R, 2).

    The authors' code counts from 1 in Lua, and divides where it should subtract 1 first
    (InferSharpMask.lua:263-266, InferDeepMask.lua:167-170), so that a score gets the mask of the
    cell a row up and a column right of it, and the first row is its own upper neighbour. From the
    last column it gets to the first of the same row.

    Args:
        best: (R,), places in the flattened map of scores.
        columns: of that map.
        lookup: `own`, or `code` for the above.
    """
    if lookup == "own":
        return torch.stack([best // columns, best % columns], dim=1)
    following = best + 1
    row = (following // columns - 1).clamp(min=0)
    return torch.stack([row, following % columns], dim=1)


def boxes_of(model: DeepMask, windows: Windows) -> Tensor:
    """Return where windows lie in the image, (R, 4) float64 xyxy; most windows exceed it."""
    side = model.settings.patch_px
    corner = windows.cells.flip(1).double() * model.stride - side / 2
    scale = torch.tensor([level.scale for level in windows.of_levels], dtype=torch.float64)
    corners = torch.cat([corner, corner + side], dim=1)
    return corners / scale.to(corner.device)[windows.levels].repeat(1, 2)


@torch.no_grad()
def masks_of(
    model: DeepMask, windows: Windows, settings: DeepMaskInferenceSettings
) -> Iterator[tuple[slice, Tensor]]:
    """Make the masks of windows, a few at a time.

    Args:
        model: with which `find_windows` found them.
        windows: any number.
        settings: whether masks are refined, as for `find_windows`.

    Yields:
        The windows' places, and their logits over their boxes, (B, M, M).
    """
    for start in range(0, len(windows), WINDOWS_PER_STEP):
        step = slice(start, min(start + WINDOWS_PER_STEP, len(windows)))
        chosen = windows.select(step)
        with computing_in(settings.test.precision, windows.scores.device):
            if settings.refine and model.refinement is not None:
                logits = model.refinement(chosen.vectors, _crops(model, chosen))
            else:
                logits = model.coarse_masks(chosen.vectors)
        yield step, logits.float()


def _crops(model: DeepMask, windows: Windows) -> list[Tensor]:
    """Cut the windows out of each module's map, (B, C, S, S) each."""
    places = list(zip(windows.levels.tolist(), windows.cells.tolist(), strict=True))
    crops = []
    for module in range(len(windows.of_levels[0].skips)):
        factor = 2**module
        side, cut = model.window * factor, []
        for level, (row, column) in places:
            y, x = row * factor, column * factor
            cut.append(windows.of_levels[level].skips[module][0, :, y : y + side, x : x + side])
        crops.append(torch.stack(cut))
    return crops
