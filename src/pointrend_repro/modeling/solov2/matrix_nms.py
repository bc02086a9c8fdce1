"""Matrix NMS: scores fall with the overlaps of masks with better ones (2003.10152, section 4)."""

from typing import Literal

import torch
from torch import Tensor


def decayed_scores(
    masks: Tensor,
    scores: Tensor,
    labels: Tensor,
    *,
    decay: Literal["gaussian", "linear"],
    sigma: float,
) -> Tensor:
    """Return the scores of masks, decayed by the better masks of their class.

    A mask that overlaps a better one loses by that overlap, but not by as much as the better one
    has itself lost to others: `min over i of f(IoU_ij) / f(IoU_i,best)`, formula 5.

    Args:
        masks: (R, H, W) bool, none empty, highest-scoring first.
        scores: (R,), from high to low.
        labels: (R,).
        decay: f: exp(-sigma * IoU^2), or 1 - IoU.
        sigma: of the Gaussian.
    """
    flat = masks.flatten(1).float()
    areas = flat.sum(dim=1)
    shared = flat @ flat.T
    overlaps = shared / (areas[:, None] + areas - shared)
    # Row i is the better mask: only those count that come before, and are of the same class.
    overlaps = overlaps.triu(diagonal=1) * (labels[:, None] == labels)
    worst = _with_row(overlaps, 0).amax(dim=0)[:, None]
    if decay == "gaussian":
        factors = torch.exp(-sigma * (overlaps**2 - worst**2))
    else:
        # Of two equal masks, the second decays to nothing, and so decays no other.
        factors = (1 - overlaps) / (1 - worst).clamp(min=1e-6)
    return scores * _with_row(factors, 1).amin(dim=0)


def _with_row(pairs: Tensor, value: float) -> Tensor:
    """Put a row first that changes no extreme, since there are none of no masks."""
    return torch.cat([torch.full_like(pairs[:1].sum(dim=0, keepdim=True), value), pairs])
