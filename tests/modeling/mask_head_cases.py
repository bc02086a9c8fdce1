"""Small mask heads, feature maps, boxes and targets that several tests share."""

import torch
from torch import Tensor

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.backbone import STRIDES, TRUNK_STRIDES
from pointrend_repro.modeling.mask_heads.conv4 import Conv4Head
from pointrend_repro.modeling.mask_heads.pointrend import PointRendHead
from pointrend_repro.modeling.mask_heads.sharpmask import SharpMaskHead
from pointrend_repro.modeling.pooling import pool_rois
from pointrend_repro.settings.heads import (
    Conv4HeadSettings,
    PointRendHeadSettings,
    SharpMaskHeadSettings,
)

AnyHead = Conv4Head | PointRendHead | SharpMaskHead
CLASS_SPECIFIC = ["4conv", "pointrend"]
HEADS = [*CLASS_SPECIFIC, "sharpmask"]
CHANNELS = 5
NUM_CLASSES = 4
NONE = torch.zeros(0, 4)
NO_LABELS = torch.zeros(0, dtype=torch.int64)
BOXES = [
    torch.tensor([[4.0, 6, 40, 50], [20, 10, 90, 60], [50, 30, 62, 44]]),
    torch.tensor([[10.5, 3.25, 70.75, 41.5]]),
]
LABELS = [torch.tensor([0, 3, 1]), torch.tensor([2])]


def mask_head(kind: str, **changes: object) -> AnyHead:
    torch.manual_seed(0)
    head: AnyHead
    if kind == "4conv":
        conv4 = Conv4HeadSettings.model_validate({"kind": kind, "channels": 6} | changes)
        head = Conv4Head(CHANNELS, NUM_CLASSES, conv4, pool_rois)
    elif kind == "sharpmask":
        narrow = {"kind": kind, "reduced_channels": 8, "bottleneck_channels": 16}
        sharpmask = SharpMaskHeadSettings.model_validate(narrow | changes)
        head = SharpMaskHead(CHANNELS, (CHANNELS,) * 4, sharpmask, pool_rois)
    else:
        small = {"kind": kind, "coarse_channels": 16, "point_channels": 8, "train_points": 20}
        pointrend = PointRendHeadSettings.model_validate(small | changes)
        head = PointRendHead(CHANNELS, NUM_CLASSES, pointrend)
    for name, parameter in head.named_parameters():  # predictors and biases start near zero
        if name.endswith("bias") or "predict" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return head


def pyramid(height: int = 64, width: int = 96, images: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.randn(images, CHANNELS, -(-height // s), -(-width // s), generator=generator)
        for name, s in (STRIDES | TRUNK_STRIDES).items()
    }


def rectangle_target(boxes: Tensor, labels: Tensor, height: int = 64, width: int = 96) -> Target:
    masks = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.round().int().tolist(), strict=True):
        mask[y0:y1, x0 : (x0 + x1) // 2] = True
    return Target(boxes, labels, masks)


def matched(boxes: list[Tensor], labels: list[Tensor]) -> list[Proposals]:
    return [Proposals(b, k, torch.arange(len(b))) for b, k in zip(boxes, labels, strict=True)]


def targets() -> list[Target]:
    return [rectangle_target(b, k) for b, k in zip(BOXES, LABELS, strict=True)]
