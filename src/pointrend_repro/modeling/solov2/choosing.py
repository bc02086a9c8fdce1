"""From scores and kernels of cells to the objects of one image (2003.10152, section 4).

Equals mmdetection 3.3 (`models/dense_heads/solov2_head.py`), which makes the masks of all cells
that are sure enough at once. Here a few hundred are made at a time, and only the best are kept: an
untrained model is as sure of thousands of cells, whose masks would not fit in memory.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pointrend_repro.modeling.precision import in_float32
from pointrend_repro.modeling.solov2.matrix_nms import decayed_scores
from pointrend_repro.settings.solov2 import SoloInferenceSettings

# A mask of fewer cells of the mask map than this, by level, is noise (code: strides).
LEAST_CELLS = (8, 8, 16, 32, 32)
_AT_ONCE = 128


@dataclass(frozen=True)
class FoundMasks:
    """What SOLOv2 finds in one image. R objects, highest-scoring first.

    Attributes:
        scores: (R,), in [0, 1].
        labels: (R,), 0-based classes.
        probabilities: (R, H / 4, W / 4), over the padded input.
    """

    scores: Tensor
    labels: Tensor
    probabilities: Tensor


@dataclass(frozen=True)
class Cells:
    """All cells of an image's grids, level by level. C cells.

    Attributes:
        scores: (C, K), of the classes.
        kernels: (C, D).
        least: (C,), how many cells of the mask map a mask must exceed.
    """

    scores: Tensor
    kernels: Tensor
    least: Tensor


def highest_around(scores: Tensor) -> Tensor:
    """Set scores (N, K, S, S) to zero where a cell above, on the left or between is higher."""
    highest = F.max_pool2d(scores, 2, stride=1, padding=1)[:, :, :-1, :-1]
    return scores * (highest == scores)


def mask_logits(kernels: Tensor, mask_map: Tensor) -> Tensor:
    """Apply 1x1 kernels (R, D) to a map (D, H, W): (R, H, W)."""
    return (kernels @ mask_map.flatten(1)).reshape(-1, *mask_map.shape[1:])


def choose_objects(cells: Cells, mask_map: Tensor, settings: SoloInferenceSettings) -> FoundMasks:
    """Return the objects of one image; masks and scores are computed in float32.

    Args:
        cells: of the image.
        mask_map: (D, H / 4, W / 4).
        settings: thresholds and decay.
    """
    sure = _sure(cells, settings)
    with in_float32(mask_map.device):
        best = _with_masks(sure[:0], cells, mask_map, settings)
        for some in sure.split(_AT_ONCE):
            joined = best.joined(_with_masks(some, cells, mask_map, settings))
            best = joined.best(settings.candidates)
        return _decayed(best, cells, mask_map, settings)


def choose_at_once(cells: Cells, mask_map: Tensor, settings: SoloInferenceSettings) -> FoundMasks:
    """Return the same as `choose_objects`, without a loop that hangs on the image, for a graph."""
    candidates = _with_masks(_sure(cells, settings), cells, mask_map, settings)
    return _decayed(candidates.best(settings.candidates), cells, mask_map, settings)


@dataclass(frozen=True)
class _Candidates:
    """Masks (R, H, W) bool with their scores, classes and cells, (R,) each."""

    masks: Tensor
    scores: Tensor
    labels: Tensor
    cells: Tensor

    def joined(self, other: "_Candidates") -> "_Candidates":
        pairs = zip(self._parts(), other._parts(), strict=True)
        return _Candidates(*(torch.cat(pair) for pair in pairs))

    def best(self, count: int) -> "_Candidates":
        """Sort by score, and keep the first."""
        order = self.scores.argsort(descending=True)[:count]
        return _Candidates(*(part[order] for part in self._parts()))

    def _parts(self) -> tuple[Tensor, ...]:
        return self.masks, self.scores, self.labels, self.cells


def _sure(cells: Cells, settings: SoloInferenceSettings) -> Tensor:
    """Return the pairs (P, 2) of a cell and a class of which it is sure enough."""
    return (cells.scores > settings.least_score).nonzero()


def _with_masks(
    pairs: Tensor, cells: Cells, mask_map: Tensor, settings: SoloInferenceSettings
) -> _Candidates:
    """Make the masks of pairs of a cell and a class, and leave out those that are too small."""
    index, labels = pairs.unbind(dim=1)
    found = mask_logits(cells.kernels[index], mask_map).sigmoid()
    masks = found > settings.mask_threshold
    areas = masks.sum(dim=(1, 2))
    # How sure the mask is of its own pixels.
    inside = (found * masks).sum(dim=(1, 2)) / areas.clamp(min=1)
    scores = cells.scores[index, labels] * inside
    large = areas > cells.least[index]
    return _Candidates(masks[large], scores[large], labels[large], index[large])


def _decayed(
    best: _Candidates, cells: Cells, mask_map: Tensor, settings: SoloInferenceSettings
) -> FoundMasks:
    """Return the candidates that matrix NMS leaves, which come with the highest scores first."""
    scores = decayed_scores(
        best.masks, best.scores, best.labels, decay=settings.decay, sigma=settings.sigma
    )
    kept = (scores >= settings.decayed_threshold).nonzero().flatten()
    order = kept[scores[kept].argsort(descending=True)][: settings.at_most]
    found = mask_logits(cells.kernels[best.cells[order]], mask_map).sigmoid()
    return FoundMasks(scores[order], best.labels[order], found)
