"""A detector with all that the 3D-FUTURE report's PointRend has besides its trunk, put together."""

import pytest
import torch
from torch import Tensor

from pointrend_repro.data.structures import Target
from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.modeling.views import View, detect_in_views
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings

SETTINGS = InferenceSettings(output_resolution=40, points_per_step=90)


def detector() -> MaskRCNN:
    torch.manual_seed(0)
    values = {
        "backbone": {
            "name": "resnet18_narrow",
            "norm": "gn",
            "fpn_channels": 8,
            "balancing_blocks": 2,
        },
        "detector": {
            "rpn_post_nms": 20,
            "rpn_post_nms_train": 30,
            "roi_batch_per_image": 16,
            "box_head_channels": 8,
            "box_head_layers": 4,
            "box_roi_resolution": 10,
            "class_agnostic_boxes": True,
            "box_loss": "smooth_l1",
            "score_threshold": 0.1,
        },
        "mask_head": {
            "kind": "pointrend",
            "levels": ["p2", "p3", "p4", "p5", "p6"],
            "coarse_resolution": 5,
            "coarse_channels": 16,
            "coarse_conv_channels": 12,
            "coarse_layers": 4,
            "point_channels": 8,
            "point_layers": 5,
            "train_points": 36,
            "train_on_refined_boxes": False,
        },
    }
    return build_mask_rcnn(ModelSettings.model_validate(values), num_classes=3)


def image() -> Tensor:
    return 255 * torch.rand(3, 70, 90, generator=torch.Generator().manual_seed(1))


def target() -> Target:
    boxes = torch.tensor([[5.0, 8, 60, 66], [30, 20, 85, 50]])
    masks = torch.zeros(2, 70, 90, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.int().tolist(), strict=True):
        mask[y0:y1, x0:x1] = True
    return Target(boxes, torch.tensor([0, 2]), masks)


@pytest.mark.parametrize("bf16", [False, True])
def test_every_parameter_learns(bf16: bool) -> None:
    model = detector().train()
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        losses = model([image()], [target()])
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without


def test_an_image_s_objects_do_not_depend_on_the_others_of_its_batch() -> None:
    """Of two images of one size; the balanced pyramid looks at all of a map, padding included."""
    model = detector().eval()
    first, second = image(), image().flip(2)
    alone = [model.detect([one], SETTINGS)[0] for one in (first, second)]
    together = model.detect([first, second], SETTINGS)
    assert any(len(found.boxes) for found in alone)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.boxes, other.boxes, atol=1e-3, rtol=1e-4)
        assert one.mask_logits is not None
        assert other.mask_logits is not None
        assert one.mask_logits.shape[1:] == (40, 40)
        off = (one.mask_logits - other.mask_logits).abs() > 1e-3
        assert not len(off) or off.float().mean() < 1e-3


def test_several_views_see_class_agnostic_boxes() -> None:
    model, shown = detector().eval(), image()
    (wanted,) = model.detect([shown], SETTINGS)
    upright, mirrored = View(shown, False, (70, 90)), View(shown.flip(2), True, (70, 90))
    alone = detect_in_views(model, [upright], SETTINGS)
    torch.testing.assert_close(alone.boxes, wanted.boxes, atol=1e-3, rtol=1e-4)
    together = detect_in_views(model, [upright, mirrored], SETTINGS)
    assert len(together.boxes) > 0
    assert together.mask_logits is not None
    assert together.mask_logits.shape == (len(together.boxes), 40, 40)
