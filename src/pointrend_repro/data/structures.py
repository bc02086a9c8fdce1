"""Inputs and outputs of a detector, one object per image."""

from dataclasses import dataclass, replace

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
        keypoints: (G, K, 3) float, x and y in pixels of the network's input, and COCO's visibility:
            0 not labelled, 1 labelled but hidden, 2 visible; None: the data set has no keypoints.
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor
    proposals: Tensor | None = None
    keypoints: Tensor | None = None

    def to(self, device: torch.device) -> "Target":
        """Return the target on a device."""
        given, points = (
            None if part is None else part.to(device) for part in (self.proposals, self.keypoints)
        )
        return Target(
            self.boxes.to(device),
            self.labels.to(device),
            self.masks.to(device),
            proposals=given,
            keypoints=points,
        )


@dataclass(frozen=True)
class Proposals:
    """Boxes of one image, matched to its ground truth in training.

    Attributes:
        boxes: (R, 4), xyxy in pixels of the network's input.
        labels: (R,), the class of the matched object, or `num_classes` for background.
        matched: (R,), index into the image's target; meaningless for background.
        features: (R, C, S, S), what the box head computed of the boxes, for a head that shares it.
    """

    boxes: Tensor
    labels: Tensor
    matched: Tensor
    features: Tensor | None = None

    def select(self, keep: Tensor) -> "Proposals":
        """Return the boxes at a mask or at indices."""
        features = None if self.features is None else self.features[keep]
        return Proposals(self.boxes[keep], self.labels[keep], self.matched[keep], features)


@dataclass(frozen=True)
class Detections:
    """What a detector finds in one image. R objects, highest-scoring first.

    Attributes:
        boxes: (R, 4), xyxy in pixels of the network's input.
        scores: (R,), in [0, 1].
        labels: (R,), 0-based classes.
        mask_logits: (R, M, M), over the box, of the predicted class; None: no mask branch.
        keypoints: (R, K, 3), x and y in pixels as `boxes`, and a score; None: no keypoint branch.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    mask_logits: Tensor | None
    keypoints: Tensor | None = None

    def select(self, keep: Tensor | slice) -> "Detections":
        """Return the objects at a mask, at indices or in a slice."""
        masks, keypoints = (
            None if part is None else part[keep] for part in (self.mask_logits, self.keypoints)
        )
        return Detections(self.boxes[keep], self.scores[keep], self.labels[keep], masks, keypoints)

    def to(self, device: torch.device) -> "Detections":
        """Return the objects on a device."""
        masks, keypoints = (
            None if part is None else part.to(device) for part in (self.mask_logits, self.keypoints)
        )
        return Detections(
            self.boxes.to(device),
            self.scores.to(device),
            self.labels.to(device),
            masks,
            keypoints=keypoints,
        )

    def rescored(self, factors: Tensor) -> "Detections":
        """Return the objects with their scores times factors (R,), highest-scoring first."""
        scores = self.scores * factors
        found = replace(self, scores=scores)
        return found.select(scores.argsort(descending=True, stable=True))
