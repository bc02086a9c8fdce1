"""torchvision's Mask R-CNN, R50-FPN with the 4x conv head, with the weights of a model of ours."""

import re

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN as TorchvisionMaskRCNN
from torchvision.models.detection import maskrcnn_resnet50_fpn

from pointrend_repro.modeling.detector import MaskRCNN

# Ours, as a pattern, and theirs; what is not here has the same name.
_RENAMED = [
    (r"backbone\.bottom_up\.stem\.", "backbone.body."),
    (
        r"backbone\.bottom_up\.res([2-5])\.",
        lambda stage: f"backbone.body.layer{int(stage[1]) - 1}.",
    ),
    (r"conv([1-3])\.norm\.", r"bn\1."),
    (r"shortcut\.norm\.", "downsample.1."),
    (r"shortcut\.", "downsample.0."),
    (r"rpn\.conv\.", "rpn.head.conv.0.0."),
    (r"rpn\.objectness_logits\.", "rpn.head.cls_logits."),
    (r"rpn\.anchor_deltas\.", "rpn.head.bbox_pred."),
    (r"box_head\.fc([12])\.", lambda fc: f"roi_heads.box_head.fc{int(fc[1]) + 5}."),
    (r"box_head\.(cls_score|bbox_pred)\.", r"roi_heads.box_predictor.\1."),
    (r"mask_head\.convs\.([0-3])\.", r"roi_heads.mask_head.\1.0."),
    (r"mask_head\.deconv\.", "roi_heads.mask_predictor.conv5_mask."),
    (r"mask_head\.predictor\.", "roi_heads.mask_predictor.mask_fcn_logits."),
]
_BACKGROUND_COORDINATES = 4


def torchvision_mask_rcnn(ours: MaskRCNN, height: int, width: int) -> TorchvisionMaskRCNN:
    """Make torchvision's model with our weights, for images (3, height, width) as they are.

    It pools at fixed samples a bin and without aligning, so its detections are near ours, not the
    same.
    """
    backbone = ours.settings.backbone
    theirs: TorchvisionMaskRCNN = maskrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=ours.num_classes + 1,
        min_size=min(height, width),
        max_size=max(height, width),
        image_mean=[value / 255 for value in backbone.pixel_mean],
        image_std=[value / 255 for value in backbone.pixel_std],
        rpn_pre_nms_top_n_test=ours.settings.detector.rpn_pre_nms_test,
    )
    if backbone.stride_in_1x1:
        body = theirs.backbone.body
        for layer in (body.layer2, body.layer3, body.layer4):
            layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)
    theirs.load_state_dict({_name(name): _value(name, t) for name, t in ours.state_dict().items()})
    return theirs.eval()


def torchvision_input(image: Tensor) -> list[Tensor]:
    """Turn an RGB image of 0 to 255 into what the model takes: BGR, 0 to 1."""
    return [image.flip(0).float() / 255]


def _name(name: str) -> str:
    for ours, theirs in _RENAMED:
        name = re.sub(f"^{ours}" if ours.startswith(("rpn", "box", "mask")) else ours, theirs, name)
    return name


def _value(name: str, value: Tensor) -> Tensor:
    """Put what belongs to the background first, where torchvision has it."""
    if name.startswith("box_head.cls_score."):
        return value.roll(1, dims=0)
    if name.startswith("box_head.bbox_pred."):
        background = value.new_zeros(_BACKGROUND_COORDINATES, *value.shape[1:])
        return torch.cat([background, value])
    if name.startswith("mask_head.predictor."):
        return torch.cat([torch.zeros_like(value[:1]), value])
    return value
