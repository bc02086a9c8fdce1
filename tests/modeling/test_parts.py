"""A detector takes its parts, and heads of a fixed grid share their loss and their masks."""

import pytest
import torch
import torch.nn.functional as F
from mask_head_cases import BOXES, CHANNELS, LABELS, NUM_CLASSES, matched, pyramid, targets
from torch import Tensor, nn
from torchvision.ops import roi_pool

from pointrend_repro.modeling.box_head import FcBoxHead
from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.modeling.mask_heads.conv4 import Conv4Head
from pointrend_repro.modeling.mask_heads.grid import GridMaskHead
from pointrend_repro.modeling.mask_heads.targets import crop_masks
from pointrend_repro.modeling.pooling import pool_rois, with_batch_index
from pointrend_repro.settings.heads import Conv4HeadSettings
from pointrend_repro.settings.instances import DetectorSettings, InferenceSettings, ModelSettings

SIDE = 6


class OneConv(GridMaskHead):
    """The least that a head of a fixed grid is."""

    def __init__(self, masks: int) -> None:
        super().__init__()
        self.predictor = nn.Conv2d(CHANNELS, masks, 1)

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        logits: Tensor = self.predictor(pool_rois(features, boxes, SIDE))
        return logits


@pytest.mark.parametrize("masks", [NUM_CLASSES, 1])
def test_loss_and_masks_are_those_of_each_box_and_its_class(masks: int) -> None:
    torch.manual_seed(0)
    head, features, labels = OneConv(masks), pyramid(), torch.cat(LABELS)
    logits = head.predictor(pool_rois(features, BOXES, SIDE))
    proposals = matched(BOXES, LABELS)
    truth = crop_masks(proposals, targets(), SIDE)
    expected_masks = [own[label % masks] for own, label in zip(logits, labels, strict=True)]
    expected_loss = sum(
        F.binary_cross_entropy_with_logits(mask, cells) / len(labels)
        for mask, cells in zip(expected_masks, truth, strict=True)
    )
    (loss,) = head.losses(features, proposals, targets()).values()
    torch.testing.assert_close(loss, torch.as_tensor(expected_loss))
    found = head.predict(features, BOXES, LABELS, InferenceSettings())
    torch.testing.assert_close(found, torch.stack(expected_masks))


def max_pool_of_res4(features: dict[str, Tensor], boxes: list[Tensor], resolution: int) -> Tensor:
    """The RoI layer that Fast R-CNN had, on the one map that it had."""
    return roi_pool(features["res4"], with_batch_index(boxes), resolution, 1 / 16)


def test_a_detector_of_other_parts_trains_and_detects() -> None:
    """One map instead of a pyramid, and another RoI layer: nothing else of the detector changes."""
    values = {
        "backbone": {"name": "resnet18_narrow", "norm": "gn", "freeze_at": 0, "fpn_channels": 8},
        "detector": {"rpn_post_nms": 20, "roi_batch_per_image": 16, "box_head_channels": 8},
        "mask_head": {"kind": "4conv", "channels": 4},
    }
    settings = ModelSettings.model_validate(values)
    torch.manual_seed(0)
    usual = build_mask_rcnn(settings, NUM_CLASSES)
    channels = usual.backbone.bottom_up.out_channels[2]
    one_map = DetectorSettings(anchor_sizes_px=(32,), rpn_post_nms=20, roi_batch_per_image=16)
    model = MaskRCNN(
        settings,
        backbone=usual.backbone,
        rpn=type(usual.rpn)(channels, {"res4": 16}, one_map),
        box_head=FcBoxHead(channels, NUM_CLASSES, one_map, max_pool_of_res4),
        mask_head=Conv4Head(
            channels, NUM_CLASSES, Conv4HeadSettings(kind="4conv", channels=4), max_pool_of_res4
        ),
    )
    images = [torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8) for _ in BOXES]
    losses = model.train()(images, targets())
    sum(losses.values()).backward()
    trunk = model.backbone.bottom_up
    assert all(p.grad is not None for p in [*model.rpn.parameters(), *model.mask_head.parameters()])
    assert all(p.grad is None for p in model.backbone.fpn.parameters())
    assert any(p.grad is not None and p.grad.any() for p in trunk.parameters())
    for found in model.eval().detect(images, InferenceSettings()):
        assert found.mask_logits.shape == (len(found.boxes), 28, 28)
