"""The head that predicts how good a mask is (Mask Scoring R-CNN, 1903.00241, section 3.2).

A mask's score is its box's times the predicted IoU with the object. Source of the numbers that the
paper does not give: mmdetection 1.1 and 3.3, `mask_heads/maskiou_head.py`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.init import init_msra, init_normal, init_xavier
from pointrend_repro.modeling.mask_heads.targets import crop_masks, of_class
from pointrend_repro.settings.heads import MaskScoringSettings

_NUM_CONVS, _NUM_HIDDEN = 4, 2


class MaskIouHead(nn.Module):
    """Predicts one IoU for each class from a box's features and its mask."""

    def __init__(
        self, in_channels: int, num_classes: int, resolution: int, settings: MaskScoringSettings
    ) -> None:
        """Make a head with random weights.

        Args:
            in_channels: of the features of a box.
            resolution: their side S; the mask has twice that.
        """
        super().__init__()
        self.loss_weight = settings.loss_weight
        width, hidden = settings.channels, settings.hidden_channels
        self.convs = nn.ModuleList(
            nn.Conv2d(
                width if i else in_channels + 1,
                width,
                3,
                stride=2 if i == _NUM_CONVS - 1 else 1,
                padding=1,
            )
            for i in range(_NUM_CONVS)
        )
        cells = ((resolution + 1) // 2) ** 2
        self.hidden = nn.ModuleList(
            nn.Linear(hidden if i else width * cells, hidden) for i in range(_NUM_HIDDEN)
        )
        self.predictor = nn.Linear(hidden, num_classes)
        init_msra(*self.convs)
        init_xavier(*self.hidden)
        init_normal(self.predictor, std=0.01)

    def forward(self, roi_features: Tensor, mask_logits: Tensor) -> Tensor:
        """Return the IoU of each class, (R, K), which nothing keeps between 0 and 1.

        Args:
            roi_features: (R, C, S, S), as the mask head sees them.
            mask_logits: (R, 2 S, 2 S), of the box's class.
        """
        mask = F.max_pool2d(mask_logits.sigmoid().unsqueeze(1), 2)
        x = torch.cat([roi_features, mask.to(roi_features.dtype)], dim=1)
        for conv in self.convs:
            x = F.relu(conv(x))
        x = x.flatten(1)
        for layer in self.hidden:
            x = F.relu(layer(x))
        ious: Tensor = self.predictor(x).float()
        return ious

    def quality(self, roi_features: Tensor, mask_logits: Tensor, labels: Tensor) -> Tensor:
        """Return the IoU (R,) of masks of classes (R,), cut to what an IoU can be."""
        return of_class(self(roi_features, mask_logits), labels).clamp(0, 1)

    def loss(
        self,
        roi_features: Tensor,
        mask_logits: Tensor,
        proposals: list[Proposals],
        targets: list[Target],
    ) -> Tensor:
        """Return the weighted mean squared error of the IoUs, over masks that hit their object.

        Args:
            mask_logits: (R, 2 S, 2 S), of each foreground box's class. They get gradients, too.
        """
        target = mask_ious(mask_logits.detach(), proposals, targets)
        ious = of_class(self(roi_features, mask_logits), torch.cat([p.labels for p in proposals]))
        hits = target > 0
        if not hits.any():  # keep the graph, so that every parameter has a gradient
            return ious.sum() * 0
        return self.loss_weight * F.mse_loss(ious[hits], target[hits])


@torch.no_grad()
def mask_ious(mask_logits: Tensor, proposals: list[Proposals], targets: list[Target]) -> Tensor:
    """Return the IoU (R,) of each mask, in its box, with the whole matched object.

    What of the object lies outside of the box counts to the union. Its size, in cells of the mask,
    follows from the share of the object's pixels that lies in the box.

    A cell is on where its probability is above one half, as Mask Scoring R-CNN says (section 3.2).
    mmdetection compares the logit with 0.5, which is a probability of 0.62.

    Args:
        mask_logits: (R, M, M), over the boxes of all images.
    """
    predicted = (mask_logits > 0).to(mask_logits.dtype)
    inside = crop_masks(proposals, targets, mask_logits.shape[-1])
    shares = torch.cat([_shares_in(p, t) for p, t in zip(proposals, targets, strict=True)])
    whole = inside.sum(dim=(1, 2)) / (shares + 1e-7)
    overlap = (predicted * inside).sum(dim=(1, 2))
    union = predicted.sum(dim=(1, 2)) + whole - overlap
    return overlap / union.clamp(min=1)  # in cells: smaller only where nothing overlaps


def _shares_in(proposals: Proposals, target: Target) -> Tensor:
    """Return which share of its object's pixels lies in each box, (R,), cut to whole pixels."""
    height, width = target.masks.shape[1:]
    areas = target.masks.flatten(1).sum(dim=1)
    found = []
    corners = proposals.boxes.to(torch.int64).tolist()
    for (x0, y0, x1, y1), number in zip(corners, proposals.matched.tolist(), strict=True):
        x0, y0 = min(max(x0, 0), width), min(max(y0, 0), height)
        crop = target.masks[number, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
        found.append(crop.sum() / areas[number].clamp(min=1))
    return torch.stack(found) if found else proposals.boxes.new_zeros(0)
