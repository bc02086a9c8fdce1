"""One stage of a cascade of boxes (Cascade R-CNN, 1712.00726; HTC, 1901.07518, section 3.1).

Each stage classifies boxes and moves them with a single set of deltas, whatever the class. The
moved boxes are what the next stage sees. Names and numbers are mmdetection's (1.1 and 3.3,
`bbox_head.py` and `htc_roi_head.py`).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.data.structures import Target
from pointrend_repro.modeling.boxes import (
    ImageSize,
    box_loss,
    clip_boxes,
    decode_boxes,
    encode_boxes,
)
from pointrend_repro.modeling.fully_connected import (
    add_fully_connected,
    fully_connected,
    through_fully_connected,
)
from pointrend_repro.modeling.init import init_normal, init_xavier
from pointrend_repro.modeling.pooling import RoiLayer
from pointrend_repro.modeling.roi_sampling import Sampled, sample_boxes
from pointrend_repro.settings.htc import HtcDetectorSettings, Stage
from pointrend_repro.settings.instances import SMOOTH_L1_BETA


class StageBoxHead(nn.Module):
    """Class logits, the last for background, and deltas for all classes alike."""

    def __init__(
        self,
        channels: int,
        num_classes: int,
        settings: HtcDetectorSettings,
        roi_layer: RoiLayer,
        stage: Stage,
    ) -> None:
        """Make a head with random weights for maps of some channels."""
        super().__init__()
        self.num_classes = num_classes
        self.settings = settings
        self.stage = stage
        self.roi_layer = roi_layer
        dx, dy, dw, dh = stage.box_stds
        self.box_weights = (1 / dx, 1 / dy, 1 / dw, 1 / dh)
        hidden = settings.box_head_channels
        cells = settings.box_roi_resolution**2
        add_fully_connected(self, [channels * cells] + [hidden] * settings.box_head_layers)
        self.cls_score = nn.Linear(hidden, num_classes + 1)
        self.bbox_pred = nn.Linear(hidden, 4)
        init_xavier(*fully_connected(self))
        init_normal(self.cls_score, std=0.01)
        init_normal(self.bbox_pred, std=0.001)

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return class logits (R, K + 1) and deltas (R, 4) of all images' boxes."""
        rois = self.roi_layer(features, boxes, self.settings.box_roi_resolution)
        x = through_fully_connected(self, rois.flatten(1), dropout=self.settings.box_head_dropout)
        return self.cls_score(x).float(), self.bbox_pred(x).float()

    def moved(
        self, deltas: Tensor, boxes: list[Tensor], image_sizes: Sequence[ImageSize]
    ) -> list[Tensor]:
        """Return the boxes of each image, (R_n, 4), where the deltas move them, inside the image.

        Args:
            deltas: (R, 4), of the boxes of all images.
            boxes: N tensors (R_n, 4), xyxy in pixels of the network's input.
            image_sizes: (height, width) of each image.
        """
        everywhere = decode_boxes(deltas, torch.cat(boxes), self.box_weights)
        parts = everywhere.split([b.shape[0] for b in boxes])
        return [clip_boxes(b, size) for b, size in zip(parts, image_sizes, strict=True)]

    @torch.no_grad()
    def sample(self, boxes: list[Tensor], targets: list[Target]) -> list[Sampled]:
        """Match boxes, and the objects' own, to the objects, and draw a batch of each image."""
        iou, num_classes = self.stage.iou, self.num_classes
        return [
            sample_boxes(found, target, self.settings, iou=iou, num_classes=num_classes)
            for found, target in zip(boxes, targets, strict=True)
        ]

    def losses(
        self, logits: Tensor, deltas: Tensor, sampled: list[Sampled], targets: list[Target]
    ) -> dict[str, Tensor]:
        """Return the losses `cls` and `box`, averaged over all sampled boxes.

        Args:
            logits: (R, K + 1), of the boxes of all images; the last class is background.
            deltas: (R, 4), as `encode_boxes` makes them with the stage's weights.
            sampled: N images' boxes, R in all, xyxy in image pixels.
            targets: N images' objects.
        """
        proposals = [each.proposals for each in sampled]
        labels = torch.cat([p.labels for p in proposals])
        foreground = labels < self.num_classes
        objects = [
            t.boxes[p.matched[p.labels < self.num_classes]]
            for p, t in zip(proposals, targets, strict=True)
        ]
        boxes = torch.cat([p.boxes for p in proposals])[foreground]
        target = encode_boxes(torch.cat(objects), boxes, self.box_weights)
        count = max(len(labels), 1)
        moved = box_loss(deltas[foreground], target, self.settings, SMOOTH_L1_BETA)
        return {
            "cls": F.cross_entropy(logits, labels, reduction="sum") / count,
            "box": moved / count,
        }

    @torch.no_grad()
    def refine(
        self, deltas: Tensor, sampled: list[Sampled], image_sizes: Sequence[ImageSize]
    ) -> list[Tensor]:
        """Return where a stage's sampled boxes have moved, without the objects' own."""
        boxes = [each.proposals.boxes for each in sampled]
        moved = self.moved(deltas, boxes, image_sizes)
        return [b[~each.is_object] for b, each in zip(moved, sampled, strict=True)]
