"""The mask branch on the box head's res5 features, of detectors on C4 (Mask R-CNN, Figure 3 left).

A 2x2 deconvolution doubles the resolution to 14x14, and a 1x1 convolution makes the masks. In
training the branch goes on from what res5 has already computed for the foreground boxes. At test
time masks are predicted in the detected boxes, which are not the proposals that the box head has
seen, so res5 runs again (as in detectron2 commit 02b5c4e2, modeling/roi_heads/roi_heads.py,
Res5ROIHeads).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.data.structures import Proposals
from pointrend_repro.modeling.box_head import Res5BoxHead
from pointrend_repro.modeling.init import init_msra, init_normal
from pointrend_repro.modeling.mask_heads.grid import GridMaskHead, mask_channels
from pointrend_repro.settings.heads import Res5MaskSettings


class Res5MaskHead(GridMaskHead):
    """Predicts 14x14 masks on what a `Res5BoxHead` computes of each box.

    Attributes:
        shares_roi_features: tells a detector to pass on what the box head computed in training.
    """

    shares_roi_features = True

    def __init__(self, num_classes: int, settings: Res5MaskSettings, box_head: Res5BoxHead) -> None:
        super().__init__()
        self.mask_loss = settings.mask_loss
        # A method, not the module: its weights are the box head's, and are saved and trained once.
        self.roi_features = box_head.roi_features
        width = settings.channels
        self.deconv = nn.ConvTranspose2d(box_head.res5.out_channels, width, kernel_size=2, stride=2)
        self.predictor = nn.Conv2d(width, mask_channels(settings, num_classes), 1)
        init_msra(self.deconv)
        init_normal(self.predictor, std=0.001)

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """Return mask logits (R, K, 14, 14), as `GridMaskHead` does."""
        return self.on_res5(self.roi_features(features, boxes))

    def training_logits(self, features: dict[str, Tensor], proposals: list[Proposals]) -> Tensor:
        """Return the logits that are trained, from the box head's features of these proposals."""
        shared = [p.features for p in proposals if p.features is not None]
        return self.on_res5(torch.cat(shared))

    def on_res5(self, roi_features: Tensor) -> Tensor:
        """Map the output of res5 (R, C, 7, 7) to mask logits (R, K, 14, 14)."""
        logits: Tensor = self.predictor(F.relu(self.deconv(roi_features)))
        return logits
