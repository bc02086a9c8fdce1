"""A small SOLOv2, and what goes through it."""

from typing import Any

import torch
from torch import Tensor

from pointrend_repro.data.structures import Target
from pointrend_repro.modeling.solov2.model import SOLOv2
from pointrend_repro.settings.solov2 import SoloModelSettings

NUM_CLASSES = 3
BACKBONE: dict[str, Any] = {
    "name": "resnet18_narrow",
    "norm": "gn",
    "freeze_at": 0,
    "fpn_channels": 8,
}
HEAD: dict[str, Any] = {
    "grids": (8, 6, 4, 3, 2),
    "ranges_px": ((1, 16), (8, 24), (16, 48), (32, 64), (48, 512)),
    "channels": 8,
    "tower_layers": 2,
    "map_channels": 8,
    "kernel_channels": 8,
}


def small_settings(**head: Any) -> SoloModelSettings:
    return SoloModelSettings.model_validate({"backbone": BACKBONE, "head": HEAD | head})


def make(**head: Any) -> SOLOv2:
    torch.manual_seed(0)
    return SOLOv2(small_settings(**head), num_classes=NUM_CLASSES).eval()


def random_image(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8)


def rectangles(boxes: list[list[int]], labels: list[int], height: int, width: int) -> Target:
    masks = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    xyxy = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Target(xyxy, torch.tensor(labels, dtype=torch.int64), masks)
