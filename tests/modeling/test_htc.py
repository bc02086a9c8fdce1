"""Hybrid Task Cascade: odd images, and its steps against slow and obvious ones."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from odd_images import BATCHES, NUM_CLASSES, target
from odd_images import smooth_image as image
from small_htc import SMALL, make
from torch import Tensor

from pointrend_repro.modeling.boxes import clip_boxes, decode_boxes
from pointrend_repro.modeling.htc.model import HybridTaskCascade
from pointrend_repro.settings.at_test import DetectionAtTest
from pointrend_repro.settings.htc import STAGES, HtcInferenceSettings, HtcModelSettings

ALL = HtcInferenceSettings(test=DetectionAtTest(score_threshold=0.0, detections_per_image=1000))


@pytest.mark.parametrize("name", BATCHES)
def test_every_parameter_learns_from_any_images(name: str) -> None:
    model = make().train()
    images = [image(h, w, seed) for seed, (h, w, _) in enumerate(BATCHES[name])]
    losses = model(images, [target(*each) for each in BATCHES[name]])
    assert all(loss.isfinite() for loss in losses.values()), losses
    sum(losses.values()).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None]
    assert not without
    stages = {f"loss_{n}_{i}" for n in ("cls", "box", "mask") for i in (1, 2, 3)}
    assert set(losses) == stages | {"loss_rpn_objectness", "loss_rpn_box", "loss_mask_iou_3"}


def test_the_reports_trunk_learns() -> None:
    """Res2Net with DCN, GC block and SyncBN (report, Table 1)."""
    trunk = {
        "name": "res2net50_narrow",
        "stride_in_1x1": False,
        "norm": "sync_bn",
        "freeze_at": 2,
        "fpn_channels": 8,
        "deformable": True,
        "context_ratio": 0.25,
    }
    model = make(backbone=trunk).train()
    images = [image(64, 96), image(64, 64, 1)]
    losses = model(images, [target(*each) for each in BATCHES["with objects"]])
    sum(losses.values()).backward()
    learning = [n for n, p in model.named_parameters() if p.requires_grad]
    assert all(model.get_parameter(name).grad is not None for name in learning)
    assert any("offset" in name for name in learning)
    assert any("context" in name for name in learning)


def test_in_bfloat16_losses_are_close_and_in_float32() -> None:
    images = [image(64, 96), image(64, 64, 1)]
    targets = [target(*each) for each in BATCHES["with objects"]]
    found = []
    for enabled in (False, True):
        model = make().train()
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            found.append(model(images, targets))
    assert all(loss.dtype == torch.float32 for loss in found[1].values())
    # Which boxes are drawn may differ, so this is no more than the same scale.
    plain, mixed = (sum(loss.item() for loss in each.values()) for each in found)
    assert mixed == pytest.approx(plain, rel=0.3)


@pytest.mark.parametrize("size", [(1, 1), (64, 96), (32, 320)])
def test_detections_of_any_image(size: tuple[int, int]) -> None:
    model = make().eval()
    (found,) = model.detect([image(*size)], ALL)
    assert len(found.boxes) == len(found.scores) == len(found.labels)
    assert found.mask_logits is not None
    assert found.mask_logits.shape == (len(found.boxes), 12, 12)
    assert found.mask_logits.isfinite().all()
    assert found.scores.diff().max() <= 0 if len(found.scores) > 1 else True
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert torch.equal(found.boxes, clip_boxes(found.boxes, size))


def test_nothing_above_the_threshold_gives_nothing() -> None:
    never = HtcInferenceSettings(test=DetectionAtTest(score_threshold=1.0))
    (found,) = make().eval().detect([image(64, 96)], never)
    assert len(found.boxes) == 0
    assert found.mask_logits is not None
    assert found.mask_logits.shape == (0, 12, 12)


def slow_boxes(model: Any, maps: dict[str, Tensor], boxes: Tensor) -> Any:
    """Box by box and stage by stage, in plain words."""
    found = []
    for box in boxes:
        logits = []
        for head, stage in zip(model.box_heads, STAGES, strict=True):
            crop = model.box_heads[0].roi_layer(maps, [box[None]], 5)[0].flatten()
            hidden = head.fc2(head.fc1(crop).relu()).relu()
            logits.append(head.cls_score(hidden))
            deltas = head.bbox_pred(hidden) * torch.tensor(stage.box_stds)
            centre, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
            centre, size = centre + deltas[:2] * size, size * deltas[2:].exp()
            box = torch.cat([centre - size / 2, centre + size / 2])
            box = torch.stack(
                [*(x.clamp(0, s) for x, s in zip(box, (96, 64, 96, 64), strict=True))]
            )
        found.append((box, (sum(logits) / 3).softmax(dim=0)[:-1]))
    return torch.stack([b for b, _ in found]), torch.stack([s for _, s in found])


@torch.no_grad()
def test_boxes_and_scores_are_those_of_a_slow_cascade() -> None:
    model = make(mask_scoring=None).eval()
    boxes = torch.tensor([[8.0, 8, 40, 50], [30.5, 20, 90, 60], [0, 0, 96, 64]])
    maps = model.backbone([image(64, 96)])
    wanted, scores = slow_boxes(model, maps, boxes)
    ((found, of_classes),) = model._scored_boxes(maps, [boxes], [(64, 96)])
    torch.testing.assert_close(found[:, 0], wanted, atol=1e-3, rtol=1e-4)
    assert torch.equal(found[:, 0], found[:, NUM_CLASSES - 1])
    torch.testing.assert_close(of_classes, scores)


@torch.no_grad()
def test_masks_flow_from_stage_to_stage_and_are_averaged() -> None:
    model = make().eval()
    maps = model.backbone([image(64, 96)])
    boxes, labels = torch.tensor([[8.0, 8, 40, 50], [30.5, 20, 90, 60]]), torch.tensor([2, 0])
    rois = model.mask_head.roi_layer(maps, [boxes], 6)
    before, logits = None, []
    for number, head in enumerate(model.mask_head.stages):
        x = rois
        if number:
            assert before is not None
            flowed = F.conv2d(before, head.from_before.weight, head.from_before.bias)
            x = x + flowed.relu()
        for conv in head.convs:
            x = conv(x).relu()
        before = x
        of_all = head.predictor(head.deconv(x).relu())
        logits.append(torch.stack([of_all[0, 2], of_all[1, 0]]))
    mean = sum(each.sigmoid() for each in logits) / 3
    masks, ious = model.mask_head.scored(maps, [boxes], [labels])
    torch.testing.assert_close(masks.sigmoid(), mean)
    assert model.mask_head.iou_head is not None
    wanted = model.mask_head.iou_head(rois, sum(logits) / 3)
    torch.testing.assert_close(ious, torch.stack([wanted[0, 2], wanted[1, 0]]).clamp(0, 1))


def test_a_mask_score_is_the_boxs_times_the_predicted_iou() -> None:
    model = make().eval()
    plain = make(mask_scoring=None).eval()
    plain.load_state_dict(model.state_dict(), strict=False)
    (scored,), (unscored,) = (each.detect([image(64, 96)], ALL) for each in (model, plain))
    maps = model.backbone([image(64, 96)])
    with torch.no_grad():
        _, ious = model.mask_head.scored(maps, [unscored.boxes], [unscored.labels])
    assert ious.min() == 0  # nothing limits what the head says, but it is cut
    assert ious.unique().numel() > 3
    wanted = unscored.scores * ious
    torch.testing.assert_close(scored.scores, wanted.sort(descending=True).values)
    assert len(scored.boxes) == len(unscored.boxes) > 5


def test_a_stage_learns_from_what_the_stage_before_has_moved() -> None:
    """Of 16 boxes sampled, 2 are the objects': 14 go on, and each to where its deltas move it."""
    model = make().train()
    head = model.box_heads[1]
    boxes = [torch.rand(40, 2).mul(30).repeat(1, 2) + torch.tensor([0.0, 0, 30, 30])]
    of_image = target(64, 96, [[8, 8, 40, 50], [30.5, 20, 90, 60]])
    (sampled,) = head.sample(boxes, [of_image])
    assert len(sampled.proposals.boxes) == 16
    deltas = torch.randn(16, 4)
    (moved,) = head.refine(deltas, [sampled], [(64, 96)])
    own = sampled.is_object
    in_batch = sampled.proposals.boxes[own]
    assert len(in_batch) == 2
    assert {tuple(b.tolist()) for b in in_batch} == {tuple(b.tolist()) for b in of_image.boxes}
    wanted = decode_boxes(deltas, sampled.proposals.boxes, (20.0, 20.0, 10.0, 10.0))
    torch.testing.assert_close(moved, clip_boxes(wanted, (64, 96))[~own])


def test_dropout_is_of_each_hidden_layer_and_in_training_only() -> None:
    small = SMALL["detector"] | {"box_head_dropout": 0.5}
    dropped, plain = make(detector=small), make()
    boxes = [torch.tensor([[8.0, 8, 40, 50], [30.5, 20, 90, 60]])]
    maps = {f"p{i}": torch.randn(1, 8, 64 // 2**i, 64 // 2**i) for i in range(2, 6)}
    for training in (True, False):
        found, wanted = (m.train(training).box_heads[0](maps, boxes)[0] for m in (dropped, plain))
        assert torch.equal(found, wanted) != training


def test_no_stage_learns_background_of_lower_overlap() -> None:
    of_image = target(64, 96, [[8, 8, 40, 50]])
    boxes = torch.tensor([[8.0, 8, 40, 50], [8, 8, 24, 50], [90, 0, 96, 4]])  # IoU 1, 0.5 and 0
    stages = make(detector=SMALL["detector"] | {"roi_negative_from": 0.1}).box_heads
    for head in stages:
        (found,) = head.sample([boxes], [of_image])
        assert len(found.proposals.boxes) == 3  # with the object's own
        assert (found.proposals.boxes[:, 0] < 90).all()


@pytest.mark.parametrize(("iou", "stages"), [(0.55, 1), (0.65, 2), (0.75, 3)])
def test_stages_ask_for_more_and_more_overlap(iou: float, stages: int) -> None:
    model = make()
    of_image = target(200, 200, [[0, 0, 100, 100]])
    box = torch.tensor([[0.0, 0, 100, 100 * iou]])
    found = [head.sample([box], [of_image])[0].proposals for head in model.box_heads]
    foreground = [
        any(p.labels[i] < NUM_CLASSES and p.boxes[i][3] < 100 for i in range(len(p.boxes)))
        for p in found
    ]
    assert sum(foreground) == stages


def test_the_reports_model_has_the_size_that_is_counted_by_hand() -> None:
    """Box RoIs of 12, mask RoIs of 32, mask scoring, 34 classes (report, section 3.1)."""
    settings = HtcModelSettings.model_validate(
        {
            "backbone": {"name": "resnet50"},
            "detector": {"box_roi_resolution": 12},
            "mask_head": {"roi_resolution": 32},
            "mask_scoring": {},
        }
    )
    with torch.device("meta"):
        model = HybridTaskCascade(settings, num_classes=34)

    def count(part: torch.nn.Module) -> int:
        return sum(p.numel() for p in part.parameters())

    box = (256 * 144 + 1) * 1024 + 1025 * 1024 + 1025 * 35 + 1025 * 4
    assert count(model.box_heads) == 3 * box
    conv4 = 4 * (256 * 256 * 9 + 256) + 256 * 256 * 4 + 256 + 257 * 34
    flow = 257 * 256
    scored = 257 * 9 * 256 + 256 + 3 * (256 * 256 * 9 + 256)
    scored += (256 * 16 * 16 + 1) * 1024 + 1025 * 1024 + 1025 * 34
    assert count(model.mask_head) == 3 * conv4 + 2 * flow + scored
