"""What mask heads share that predict a mask on one fixed grid in each box."""

from typing import Literal

import torch
from torch import Tensor, nn

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.mask_heads.targets import (
    grid_loss,
    of_class,
    softmax_grid_loss,
    softmax_of_class,
)
from pointrend_repro.settings.heads import GridMaskSettings
from pointrend_repro.settings.instances import InferenceSettings


class GridMaskHead(nn.Module):
    """A mask head defined by its `forward`; its loss and its masks follow from it.

    Attributes:
        mask_loss: `sigmoid`, or `softmax` over the classes and background.
    """

    train_on_refined_boxes = False
    mask_loss: Literal["sigmoid", "softmax"] = "sigmoid"

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """Return mask logits (R, K, S, S) of all classes, or (R, 1, S, S) if class-agnostic.

        With softmax, (R, K + 1, S, S), the last for background.

        Args:
            features: p2 to p5 and res2 to res5 of a batch, each (N, C, H, W).
            boxes: N tensors (R_n, 4), xyxy in image pixels.
        """
        raise NotImplementedError

    def training_logits(self, features: dict[str, Tensor], proposals: list[Proposals]) -> Tensor:
        """Return the logits that are trained, of the same shape as `forward` does."""
        logits: Tensor = self(features, [p.boxes for p in proposals])
        return logits

    def losses(
        self, features: dict[str, Tensor], proposals: list[Proposals], targets: list[Target]
    ) -> dict[str, Tensor]:
        """Return `loss_mask`: binary cross-entropy of each box's class, over all cells.

        With softmax it is the cross-entropy over all classes and background.

        Args:
            features: p2 to p5 and res2 to res5 of a batch, each (N, C, H, W).
            proposals: N images' foreground boxes, R in all, xyxy in image pixels.
            targets: N images' objects; logits of (R, K, S, S) learn from their masks, which are
                cropped to (R, S, S).
        """
        logits = self.training_logits(features, proposals)
        labels = torch.cat([p.labels for p in proposals])
        loss = softmax_grid_loss if self.mask_loss == "softmax" else grid_loss
        return {"loss_mask": loss(logits, labels, proposals, targets)}

    def predict(
        self,
        features: dict[str, Tensor],
        boxes: list[Tensor],
        labels: list[Tensor],
        settings: InferenceSettings,
    ) -> Tensor:
        """Return mask logits (R, S, S) of each box's class; above 0 is the object.

        `settings` has no effect on such a head: its resolution is fixed.
        """
        mask_of = softmax_of_class if self.mask_loss == "softmax" else of_class
        return mask_of(self(features, boxes), torch.cat(labels))


def mask_channels(settings: GridMaskSettings, num_classes: int) -> int:
    """Return how many channels a head predicts: one for all, one a class, or background, too."""
    if settings.class_agnostic:
        return 1
    return num_classes + (settings.mask_loss == "softmax")


def classes_are_apart(settings: GridMaskSettings) -> bool:
    """Return whether the mask of a class can be computed without those of the others."""
    return settings.mask_loss == "sigmoid" and not settings.class_agnostic
