"""What mask heads share that predict a mask on one fixed grid in each box."""

import torch
from torch import Tensor, nn

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.mask_heads.targets import grid_loss, of_class
from pointrend_repro.settings.instances import InferenceSettings


class GridMaskHead(nn.Module):
    """A mask head defined by its `forward`; its loss and its masks follow from it."""

    train_on_refined_boxes = False

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """Return mask logits (R, K, S, S) of all classes, or (R, 1, S, S) if class-agnostic.

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
        """Return `loss_mask`: binary cross-entropy of each box's class, over all cells."""
        logits = self.training_logits(features, proposals)
        labels = torch.cat([p.labels for p in proposals])
        return {"loss_mask": grid_loss(logits, labels, proposals, targets)}

    def predict(
        self,
        features: dict[str, Tensor],
        boxes: list[Tensor],
        labels: list[Tensor],
        settings: InferenceSettings,
    ) -> Tensor:
        """Return mask logits (R, S, S) of each box's class.

        `settings` has no effect on such a head: its resolution is fixed.
        """
        return of_class(self(features, boxes), torch.cat(labels))
