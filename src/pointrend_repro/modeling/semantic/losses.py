"""Pixel losses of semantic segmentation. Pixels labelled 255 do not count (Cityscapes' train ids).

Where all pixels are such, every loss is zero, with a graph to all logits.
"""

import torch.nn.functional as F
from torch import Tensor

IGNORED = 255


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy over the pixels, or points, that count.

    Args:
        logits: (N, K, ...).
        labels: (N, ...) int64, train ids or `IGNORED`.
    """
    total = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum().clamp(min=1)


def hard_pixel_cross_entropy(logits: Tensor, labels: Tensor, fraction: float) -> Tensor:
    """Return the mean cross-entropy over the worst pixels of a batch.

    As in detectron2's DeepLab (commit 02b5c4e2, projects/DeepLab/deeplab/loss.py), `fraction` is of
    all pixels, including those that do not count: they rank last, with loss zero.

    Args:
        logits: (N, K, H, W).
        labels: (N, H, W) int64, train ids or `IGNORED`.
        fraction: how many of the pixels to average over, in (0, 1].
    """
    losses = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none").flatten()
    return losses.topk(max(1, int(fraction * losses.numel()))).values.mean()
