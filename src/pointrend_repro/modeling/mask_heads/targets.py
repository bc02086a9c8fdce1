"""Ground truth for mask heads on a grid over each box, the losses on it, and a class's mask.

With K classes and softmax there are K + 1 channels: the last one is background, as for boxes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from pointrend_repro.data.structures import Proposals, Target


def crop_masks(proposals: list[Proposals], targets: list[Target], resolution: int) -> Tensor:
    """Return the matched masks inside each box on an S x S grid, (R, S, S) float of 0 and 1.

    A cell is foreground if at least half of it is, by RoIAlign of the full-size mask as in
    detectron2's BitMasks.crop_and_resize (commit 02b5c4e2, structures/masks.py).
    """
    crops = []
    for proposal, target in zip(proposals, targets, strict=True):
        index = proposal.matched.to(proposal.boxes.dtype).unsqueeze(1)
        rois = torch.cat([index, proposal.boxes], dim=1)
        masks = target.masks.to(proposal.boxes.dtype).unsqueeze(1)
        crops.append(
            roi_align(masks, rois, resolution, spatial_scale=1.0, sampling_ratio=0, aligned=True)
        )
    return (torch.cat(crops).squeeze(1) >= 0.5).to(crops[0].dtype)


def grid_loss(
    logits: Tensor, labels: Tensor, proposals: list[Proposals], targets: list[Target]
) -> Tensor:
    """Return the mean binary cross-entropy of each box's class over an S x S grid.

    Args:
        logits: (R, K, S, S), or (R, 1, S, S) if class-agnostic.
        labels: (R,), classes.
    """
    if len(logits) == 0:  # keep the graph, so that every parameter has a gradient
        return logits.sum()
    own = of_class(logits, labels).float()
    return F.binary_cross_entropy_with_logits(own, crop_masks(proposals, targets, own.shape[-1]))


def softmax_grid_loss(
    logits: Tensor, labels: Tensor, proposals: list[Proposals], targets: list[Target]
) -> Tensor:
    """Return the mean cross-entropy over classes and background (Mask R-CNN, Table 2b).

    A cell's target is the box's class on the object's mask and background elsewhere, also where
    other objects are.

    Args:
        logits: (R, K + 1, S, S).
        labels: (R,), classes.
    """
    if len(logits) == 0:
        return logits.sum()
    on = crop_masks(proposals, targets, logits.shape[-1]) > 0
    background = logits.shape[1] - 1
    return F.cross_entropy(logits.float(), torch.where(on, labels[:, None, None], background))


def of_class(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the logits of each box's class, (R, ...), from (R, K, ...) or (R, 1, ...) for all."""
    if logits.shape[1] == 1:
        return logits.squeeze(1)
    return logits[torch.arange(labels.shape[0], device=labels.device), labels]


def softmax_of_class(logits: Tensor, labels: Tensor) -> Tensor:
    """Return logits, (R, S, S), whose sigmoid is the softmax probability of each box's class.

    Mask R-CNN does not say when a pixel of its softmax masks is on. Here it is if P(k) > 0.5 for
    the box's class k, since the paper has one rule for all masks: the "floating-number mask output
    is then resized to the RoI size, and binarized at a threshold of 0.5" (section 3.1). The other
    reading is FCN's: a pixel is on if k is the most probable of all classes and background. That
    also turns on pixels where several classes share the probability and none has half of it, and
    leaves nothing to be resized but labels.

    Args:
        logits: (R, K + 1, S, S).
        labels: (R,), classes.
    """
    own = of_class(logits, labels)
    channels = torch.arange(logits.shape[1], device=labels.device)
    is_own = (channels == labels[:, None])[:, :, None, None]
    return own - logits.masked_fill(is_own, float("-inf")).logsumexp(dim=1)
