"""The default mask head of Mask R-CNN, "4x conv" in the paper's tables.

Four 3x3 convolutions on RoI features, a 2x2 deconvolution that doubles the resolution, and a 1x1
convolution to one mask per class (PointRend, footnote 2; Mask R-CNN 1703.06870, Figure 4).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.init import init_msra, init_normal
from pointrend_repro.modeling.mask_heads.grid import GridMaskHead, classes_are_apart, mask_channels
from pointrend_repro.modeling.mask_heads.mask_iou import MaskIouHead
from pointrend_repro.modeling.mask_heads.targets import grid_loss, of_class
from pointrend_repro.modeling.pooling import RoiLayer, pool_rois
from pointrend_repro.settings.heads import Conv4HeadSettings
from pointrend_repro.settings.instances import InferenceSettings

_NUM_CONVS = 4


class Conv4Head(GridMaskHead):
    """Predicts masks at twice the RoI resolution (28x28 by default).

    It trains on proposals: training as a cascade does not help this head (section 4, Training).
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        settings: Conv4HeadSettings,
        roi_layer: RoiLayer = pool_rois,
    ) -> None:
        super().__init__()
        self.mask_loss = settings.mask_loss
        self.classes_are_apart = classes_are_apart(settings)
        self.roi_layer = roi_layer
        self.roi_resolution = settings.roi_resolution
        width = settings.channels
        self.convs = nn.ModuleList(
            nn.Conv2d(width if i else in_channels, width, 3, padding=1) for i in range(_NUM_CONVS)
        )
        self.deconv = nn.ConvTranspose2d(width, width, kernel_size=2, stride=2)
        self.predictor = nn.Conv2d(width, mask_channels(settings, num_classes), 1)
        self.iou_head: MaskIouHead | None = None
        if settings.mask_scoring is not None:
            self.iou_head = MaskIouHead(
                in_channels, num_classes, settings.roi_resolution, settings.mask_scoring
            )
        init_msra(*self.convs, self.deconv)
        init_normal(self.predictor, std=0.001)

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """Return mask logits (R, K, 2 S, 2 S) for S the RoI resolution, as `GridMaskHead` does."""
        logits: Tensor = self.predictor(self._hidden_of(features, boxes))
        return logits

    def losses(
        self, features: dict[str, Tensor], proposals: list[Proposals], targets: list[Target]
    ) -> dict[str, Tensor]:
        """Return `loss_mask` as `GridMaskHead` does and, with mask scoring, `loss_mask_iou`."""
        if self.iou_head is None:
            return super().losses(features, proposals, targets)
        rois = self.roi_layer(features, [p.boxes for p in proposals], self.roi_resolution)
        logits, labels = self.predictor(self.hidden(rois)), torch.cat([p.labels for p in proposals])
        own = of_class(logits, labels).float()
        return {
            "loss_mask": grid_loss(logits, labels, proposals, targets),
            "loss_mask_iou": self.iou_head.loss(rois, own, proposals, targets),
        }

    def scored(
        self, features: dict[str, Tensor], boxes: list[Tensor], labels: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return mask logits as `predict` does, and the IoU (R,) that each mask is given."""
        assert self.iou_head is not None
        rois = self.roi_layer(features, boxes, self.roi_resolution)
        classes = torch.cat(labels)
        own = of_class(self.predictor(self.hidden(rois)), classes)
        return own, self.iou_head.quality(rois, own, classes)

    def predict(
        self,
        features: dict[str, Tensor],
        boxes: list[Tensor],
        labels: list[Tensor],
        settings: InferenceSettings,
    ) -> Tensor:
        """Return mask logits (R, 2 S, 2 S) of each box's class, without those of the others.

        A class of a softmax needs the others.
        """
        if not self.classes_are_apart:
            return super().predict(features, boxes, labels, settings)
        return self.of_classes(self._hidden_of(features, boxes), torch.cat(labels))

    def of_classes(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """Return mask logits (R, 2 S, 2 S) of classes (R,) from what `hidden` returns."""
        weight = self.predictor.weight.flatten(1)[labels]
        assert self.predictor.bias is not None
        bias = self.predictor.bias[labels]
        return torch.einsum("rchw,rc->rhw", hidden, weight) + bias[:, None, None]

    def _hidden_of(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        return self.hidden(self.roi_layer(features, boxes, self.roi_resolution))

    def hidden(self, roi_features: Tensor) -> Tensor:
        """Map RoI features (R, C, S, S) to the predictor's input, (R, C', 2 S, 2 S)."""
        return F.relu(self.deconv(self.convolved(roi_features)))

    def convolved(self, roi_features: Tensor) -> Tensor:
        """Map RoI features (R, C, S, S) to what is enlarged, (R, C', S, S)."""
        x = roi_features
        for conv in self.convs:
            x = F.relu(conv(x))
        return x
