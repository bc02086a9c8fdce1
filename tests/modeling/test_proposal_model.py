"""Region proposals alone are those of a detector, and learn what its RPN learns."""

from pathlib import Path

import pytest
import torch
from mask_head_cases import BOXES, NUM_CLASSES, targets
from pydantic import ValidationError

from pointrend_repro.checkpoints import imagenet
from pointrend_repro.checkpoints.saved_models import SavedModel, load_saved_model, save_model
from pointrend_repro.modeling.build import build_detector, build_mask_rcnn
from pointrend_repro.modeling.proposal_model import ProposalModel
from pointrend_repro.modeling.resnet import ResNet
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings
from pointrend_repro.settings.schedule import InputSettings

ONLY = InferenceSettings.model_validate({"proposals_only": True, "test": {"rpn_post_nms": 9}})


def settings(features: str, **changes: object) -> ModelSettings:
    values: dict[str, object] = {
        "backbone": {"name": "resnet18_narrow", "norm": "gn", "freeze_at": 0, "fpn_channels": 8},
        "detector": {"rpn_post_nms": 20, "roi_batch_per_image": 16, "box_head_channels": 8},
        "features": features,
        "mask_head": {"kind": "none"},
    }
    return ModelSettings.model_validate(values | changes)


@pytest.mark.parametrize("features", ["fpn", "c4", "c5"])
def test_it_is_a_detector_without_heads(features: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector = build_mask_rcnn(settings(features), NUM_CLASSES)
    alone = build_detector(settings(features, rpn_only=True), NUM_CLASSES)
    assert isinstance(alone, ProposalModel)
    own = {k: v for k, v in detector.state_dict().items() if k.startswith(("backbone.", "rpn."))}
    alone.load_state_dict(own)
    images = [torch.randint(0, 256, (3, 64, 96)).byte() for _ in BOXES]

    torch.manual_seed(1)
    wanted = detector.train()(images, targets())
    torch.manual_seed(1)
    losses = alone.train()(images, targets())
    assert list(losses) == ["loss_rpn_objectness", "loss_rpn_box"]
    for name, loss in losses.items():
        torch.testing.assert_close(loss, wanted[name])
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in alone.parameters() if p.requires_grad)

    save_model(tmp_path / "m.safetensors", SavedModel(alone, InputSettings(), [(1, "thing")] * 4))
    loaded = load_saved_model(tmp_path / "m.safetensors").model
    for ours, theirs in zip(
        loaded.detect(images, InferenceSettings(test=ONLY.test)),
        detector.eval().detect(images, ONLY),
        strict=True,
    ):
        assert len(ours.boxes) == 9
        torch.testing.assert_close(ours.boxes, theirs.boxes)
        assert torch.equal(ours.scores, theirs.scores)
        assert ours.mask_logits is None


def test_on_c4_it_starts_from_a_classifier_whose_res5_it_lacks(tmp_path: Path) -> None:
    whole = ResNet("resnet18_narrow", norm="frozen_bn", stride_in_1x1=True, freeze_at=2)
    torch.save(whole.state_dict(), tmp_path / "whole.pth")
    backbone = {"name": "resnet18_narrow", "weights": str(tmp_path / "whole.pth")}
    asked = settings("c4", rpn_only=True, backbone=backbone)
    model = build_detector(asked, NUM_CLASSES)
    imagenet.load_trunk(model, asked)
    for name, value in model.backbone.bottom_up.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name
    assert not any("res5" in name for name in model.state_dict())


@pytest.mark.parametrize(
    "changes", [{"mask_head": {"kind": "4conv"}}, {"keypoint_head": {}}, {"given_proposals": True}]
)
def test_heads_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="rpn_only has no heads, and no proposals but its"):
        settings("fpn", rpn_only=True, **changes)
