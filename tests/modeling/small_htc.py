"""Small cascades."""

from typing import Any

import torch
from odd_images import NUM_CLASSES

from pointrend_repro.modeling.htc.model import HybridTaskCascade
from pointrend_repro.settings.htc import HtcModelSettings

SCORING: dict[str, Any] = {"channels": 4, "hidden_channels": 8}
SMALL: dict[str, Any] = {
    "backbone": {"name": "resnet18_narrow", "norm": "gn", "freeze_at": 0, "fpn_channels": 8},
    "detector": {
        "rpn_pre_nms_train": 60,
        "rpn_pre_nms_test": 60,
        "rpn_post_nms": 30,
        "roi_batch_per_image": 16,
        "box_head_channels": 8,
        "box_roi_resolution": 5,
        "detections_per_image": 10,
    },
    "mask_head": {"channels": 4, "roi_resolution": 6},
    "mask_scoring": SCORING,
}


def make(**changes: Any) -> Any:
    """A cascade that prefers classes and moves boxes, which one without training does not."""
    torch.manual_seed(0)
    settings = HtcModelSettings.model_validate(SMALL | changes)
    model: Any = HybridTaskCascade(settings, num_classes=NUM_CLASSES)
    torch.nn.init.normal_(model.rpn.anchor_deltas.weight, std=0.1)
    for head in model.box_heads:
        torch.nn.init.normal_(head.cls_score.weight, std=1.0)
        torch.nn.init.normal_(head.bbox_pred.weight, std=0.3)
    for head in model.mask_head.stages:
        torch.nn.init.normal_(head.predictor.weight, std=0.5)
    if model.mask_head.iou_head is not None:
        torch.nn.init.normal_(model.mask_head.iou_head.predictor.weight, std=0.5)
    return model
