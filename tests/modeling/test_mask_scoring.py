"""Mask R-CNN with mask scores, and cascades, in one view of an image and in several."""

from typing import Any

import pytest
import small_htc
import torch
from test_detector import HEADS, detector, image, target
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.structures import Detections
from pointrend_repro.evaluation.cost import mask_head_cost
from pointrend_repro.modeling.views import View, detect_in_views
from pointrend_repro.settings.at_test import DetectionAtTest
from pointrend_repro.settings.heads import Conv4HeadSettings
from pointrend_repro.settings.htc import HtcInferenceSettings
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings
from pointrend_repro.tools.export.graph import DetectorGraph

SCORING = {"mask_scoring": {"channels": 4, "hidden_channels": 8}}
TEST = DetectionAtTest(score_threshold=0.0)
SIZE = (64, 96)


def mask_rcnn() -> Any:
    model: Any = detector("4conv", **SCORING).eval()
    torch.nn.init.normal_(model.mask_head.iou_head.predictor.weight, std=0.5)
    torch.nn.init.normal_(model.mask_head.predictor.weight, std=0.5)
    return model


MODELS = {
    "mask_rcnn": (mask_rcnn, InferenceSettings(test=TEST)),
    "htc": (lambda: small_htc.make().eval(), HtcInferenceSettings(test=TEST)),
}


@pytest.fixture(params=list(MODELS))
def model_and_settings(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    make, settings = MODELS[request.param]
    return make(), settings


def view(*, flip: bool = False) -> View:
    seen = image(*SIZE)
    return View(seen.flip(2) if flip else seen, flip, SIZE)


def equal(found: Detections, wanted: Detections) -> None:
    torch.testing.assert_close(found.boxes, wanted.boxes, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.scores, wanted.scores, atol=1e-5, rtol=0)
    assert torch.equal(found.labels, wanted.labels)
    assert found.mask_logits is not None
    assert wanted.mask_logits is not None
    ours, theirs = found.mask_logits.sigmoid(), wanted.mask_logits.sigmoid()
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_one_view_is_the_image(model_and_settings: tuple[Any, Any]) -> None:
    model, settings = model_and_settings
    (wanted,) = model.detect([image(*SIZE)], settings)
    (proposals,) = model.rpn.propose(*_rpn(model), [SIZE], settings.test)
    equal(detect_in_views(model, [view()], settings, proposals), wanted)
    assert len(wanted.boxes) > 5
    assert wanted.scores.diff().max() <= 0


def _rpn(model: Any) -> tuple[Any, Any, Any]:
    with torch.no_grad():
        maps = model.backbone([image(*SIZE)])
        return model.rpn.anchors(maps), *model.rpn(maps)


@torch.no_grad()
def test_mask_scores_are_averaged_over_views(model_and_settings: tuple[Any, Any]) -> None:
    model, settings = model_and_settings
    proposals = torch.tensor([[8.0, 8, 40, 50], [30.5, 20, 90, 60], [0, 0, 96, 64]])
    views, boxes_of, scores_of = [view(), view(flip=True)], [], []
    for each in views:
        maps = model.backbone([each.image])
        boxes, scores = model.scored_boxes(maps, mirrored(proposals, each), SIZE)
        boxes_of.append(mirrored(boxes, each))
        scores_of.append(scores)
    means = sum(boxes_of) / 2, sum(scores_of) / 2
    boxes, scores, labels = model.choose(*means, SIZE, settings.test)
    quality = []
    for each in views:
        maps = model.backbone([each.image])
        _, of_view = model.mask_head.scored(maps, [mirrored(boxes, each)], [labels])
        quality.append(of_view)
    assert (quality[0] - quality[1]).abs().max() > 0.01
    wanted = (scores * sum(quality) / 2).sort(descending=True).values
    found = detect_in_views(model, views, settings, proposals)
    torch.testing.assert_close(found.scores, wanted)


def mirrored(boxes: Tensor, seen: View) -> Tensor:
    if not seen.is_mirrored:
        return boxes
    x0, y0, x1, y1 = boxes.unbind(-1)
    return torch.stack([SIZE[1] - x1, y0, SIZE[1] - x0, y1], dim=-1)


def test_a_score_is_the_boxs_times_the_masks() -> None:
    model, settings = mask_rcnn(), InferenceSettings(test=TEST)
    (scored,) = model.detect([image(*SIZE)], settings)
    head, model.mask_head.iou_head = model.mask_head.iou_head, None
    (plain,) = model.detect([image(*SIZE)], settings)
    model.mask_head.iou_head = head
    with torch.no_grad():
        maps = model.backbone([image(*SIZE)])
        masks, quality = model.mask_head.scored(maps, [plain.boxes], [plain.labels])
    assert quality.unique().numel() > 3
    torch.testing.assert_close(masks, plain.mask_logits)
    wanted = (plain.scores * quality).sort(descending=True).values
    torch.testing.assert_close(scored.scores, wanted)


def test_mask_rcnn_learns_the_scores() -> None:
    model = mask_rcnn().train()
    losses = model([image(*SIZE)], [target(*SIZE, [[8, 8, 40, 50], [30.5, 20, 90, 60]])])
    assert losses["loss_mask_iou"] > 0
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    losses = model([image(*SIZE)], [target(*SIZE, [])])
    assert losses["loss_mask_iou"] == 0
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_without_scores_nothing_changes() -> None:
    plain, scored = detector("4conv"), detector("4conv", **SCORING)
    names = {name for name in scored.state_dict() if ".iou_head." not in name}
    assert set(plain.state_dict()) == names
    assert HEADS["4conv"] == 28


def test_softmax_masks_are_not_scored() -> None:
    with pytest.raises(ValueError, match="mask_scoring reads sigmoid masks"):
        Conv4HeadSettings.model_validate({"kind": "4conv", "mask_loss": "softmax"} | SCORING)


def test_a_graph_does_not_score_masks() -> None:
    with pytest.raises(UserError, match="mask_scoring cannot be exported"):
        DetectorGraph(mask_rcnn(), InferenceSettings())


def test_the_scoring_head_counts() -> None:
    backbone = {"name": "resnet50"}
    values = {"backbone": backbone, "mask_head": {"kind": "4conv", "mask_scoring": {}}}
    costs = [
        mask_head_cost(ModelSettings.model_validate(each), InferenceSettings())["multiply_adds"]
        for each in (values, {"backbone": backbone, "mask_head": {"kind": "4conv"}})
    ]
    convs = 14**2 * 9 * (257 * 256 + 2 * 256 * 256) + 7**2 * 9 * 256 * 256
    hidden = 256 * 49 * 1024 + 1024 * 1024 + 1024 * 80
    assert costs[0] - costs[1] == pytest.approx((convs + hidden) / 1e9)
