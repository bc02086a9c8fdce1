"""Inputs and outputs of a detector, one object per image."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Target:
    """Ground truth of one image, without crowd regions. G objects, possibly none.

    Attributes:
        boxes: (G, 4) float, xyxy in pixels of the network's input.
        labels: (G,) int64, 0-based classes.
        masks: (G, H, W) bool, at the size of the network's input.
        proposals: (P, 4) float, boxes as `boxes`, to learn from instead of the detector's own.
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor
    proposals: Tensor | None = None

    def to(self, device: torch.device) -> "Target":
        """Return the target on a device."""
        given = None if self.proposals is None else self.proposals.to(device)
        return Target(self.boxes.to(device), self.labels.to(device), self.masks.to(device), given)


@dataclass(frozen=True)
class Proposals:
    """Boxes of one image, matched to its ground truth in training.

    Attributes:
        boxes: (R, 4), xyxy in pixels of the network's input.
        labels: (R,), the class of the matched object, or `num_classes` for background.
        matched: (R,), index into the image's target; meaningless for background.
    """

    boxes: Tensor
    labels: Tensor
    matched: Tensor

    def select(self, keep: Tensor) -> "Proposals":
        """Return the boxes at a mask or at indices."""
        return Proposals(self.boxes[keep], self.labels[keep], self.matched[keep])


@dataclass(frozen=True)
class Detections:
    """What a detector finds in one image. R objects, highest-scoring first.

    Attributes:
        boxes: (R, 4), xyxy in pixels of the network's input.
        scores: (R,), in [0, 1].
        labels: (R,), 0-based classes.
        mask_logits: (R, M, M), over the box, of the predicted class.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    mask_logits: Tensor
