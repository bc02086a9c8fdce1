"""SOLOv2's losses: dice of the masks, focal of the classes (2003.10152, section 3.4)."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

_DICE_EPS = 1e-3  # mmdetection 3.3, models/losses/dice_loss.py


def dice_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return one minus the dice coefficient of each mask, (P,).

    Args:
        logits: (P, H, W).
        masks: (P, H, W), 0 or 1.
    """
    found, target = logits.sigmoid().flatten(1), masks.flatten(1)
    shared = (found * target).sum(dim=1)
    squares = (found * found).sum(dim=1) + (target * target).sum(dim=1) + 2 * _DICE_EPS
    return 1 - 2 * shared / squares


def class_loss(logits: Tensor, labels: Tensor, positive: int) -> Tensor:
    """Return the focal loss (alpha 0.25, gamma 2) of all cells, over the positive ones and one.

    Args:
        logits: (C, K) of cells.
        labels: (C,), classes, K for none.
        positive: how many cells learn an object.
    """
    target = F.one_hot(labels, logits.shape[1] + 1)[:, :-1].to(logits.dtype)
    total: Tensor = sigmoid_focal_loss(logits, target, alpha=0.25, gamma=2.0, reduction="sum")
    return total / (positive + 1)


def no_loss(*outputs: Tensor) -> Tensor:
    """Return zero that depends on outputs, so that their parameters have gradients, of zero."""
    return torch.stack([output.sum() * 0 for output in outputs]).sum()
