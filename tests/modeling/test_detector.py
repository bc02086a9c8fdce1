"""The whole detector on odd images: none has objects, or is 1x1, or is a panorama."""

import pytest
import torch
from odd_images import BATCHES, NUM_CLASSES, Batch, smooth_image, target
from torch import Tensor

from pointrend_repro.data.structures import Detections, Proposals, Target
from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings

HEADS = {"4conv": 28, "pointrend": 28, "sharpmask": 112}  # and the side of their masks
INFERENCE = InferenceSettings(output_resolution=28, points_per_step=49)


def detector(
    kind: str,
    *,
    norm: str = "gn",
    roi_layer: object = None,
    keypoint_head: dict[str, int] | None = None,
    **changes: object,
) -> MaskRCNN:
    heads: dict[str, dict[str, object]] = {
        "4conv": {"channels": 4},
        "pointrend": {"coarse_channels": 8, "point_channels": 4, "train_points": 16},
        "sharpmask": {"reduced_channels": 4, "bottleneck_channels": 8, "skip_channels": 4},
    }
    settings: dict[str, dict[str, object]] = {
        "backbone": {"name": "resnet18_narrow", "norm": norm, "freeze_at": 0, "fpn_channels": 8},
        "detector": {
            "rpn_pre_nms_train": 60,
            "rpn_pre_nms_test": 60,
            "rpn_post_nms": 30,
            "roi_batch_per_image": 16,
            "box_head_channels": 8,
            "detections_per_image": 10,
        },
        "mask_head": {"kind": kind} | heads.get(kind, {}) | changes,
        "keypoint_head": keypoint_head,
    }
    if roi_layer is not None:
        settings["detector"]["roi_layer"] = roi_layer
    torch.manual_seed(0)
    model = build_mask_rcnn(ModelSettings.model_validate(settings), num_classes=NUM_CLASSES)
    # An untrained model moves no box and prefers no class; this one does.
    torch.nn.init.normal_(model.box_head.cls_score.weight, std=1.0)
    torch.nn.init.normal_(model.box_head.bbox_pred.weight, std=0.3)
    torch.nn.init.normal_(model.rpn.anchor_deltas.weight, std=0.1)
    return model


def image(height: int, width: int, seed: int = 0) -> Tensor:
    return smooth_image(height, width, seed).to(torch.uint8)


def losses_of(model: MaskRCNN, batch: Batch) -> dict[str, Tensor]:
    images = [image(h, w, seed) for seed, (h, w, _) in enumerate(batch)]
    targets = [target(h, w, boxes) for h, w, boxes in batch]
    losses: dict[str, Tensor] = model.train()(images, targets)
    return losses


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES.keys())
def test_losses_are_finite_and_reach_every_parameter(kind: str, batch: Batch) -> None:
    model = detector(kind)
    losses = losses_of(model, batch)
    names = {"loss_rpn_objectness", "loss_rpn_box", "loss_cls", "loss_box", "loss_mask"}
    assert set(losses) == names | ({"loss_mask_point"} if kind == "pointrend" else set())
    assert all(loss.isfinite() and loss >= 0 for loss in losses.values()), losses
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    if not any(boxes for _, _, boxes in batch):
        assert losses["loss_rpn_box"] == losses["loss_box"] == losses["loss_mask"] == 0


@pytest.mark.parametrize("kind", HEADS)
def test_a_step_repeats_with_its_seed(kind: str) -> None:
    model = detector(kind)

    def losses(seed: int) -> list[float]:
        torch.manual_seed(seed)
        return [loss.item() for loss in losses_of(model, BATCHES["with objects"]).values()]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def check_detections(found: Detections, height: int, width: int, *, side: int) -> None:
    count = len(found.scores)
    assert found.boxes.shape == (count, 4)
    assert found.labels.shape == (count,)
    assert found.mask_logits.shape == (count, side, side)
    assert count <= 10
    assert (found.scores[:-1] >= found.scores[1:]).all()
    assert ((found.scores > 0.05) & (found.scores <= 1)).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 0::2] <= width).all()
    assert (found.boxes[:, 1::2] <= height).all()
    assert ((found.labels >= 0) & (found.labels < NUM_CLASSES)).all()
    assert found.mask_logits.isfinite().all()


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize(
    "sizes", [[(64, 96), (64, 64)], [(1, 1)], [(32, 320)], [(48, 7), (1, 1), (60, 61)]], ids=str
)
def test_detections_keep_their_contract(kind: str, sizes: list[tuple[int, int]]) -> None:
    images = [image(h, w, seed) for seed, (h, w) in enumerate(sizes)]
    found = detector(kind).eval().detect(images, INFERENCE)
    assert len(found) == len(sizes)
    for each, (height, width) in zip(found, sizes, strict=True):
        check_detections(each, height, width, side=HEADS[kind])
    if sizes[0] == (64, 96):
        assert len(found[0].scores) == 10  # the model does find something, and is cut short


def same(a: Detections, b: Detections) -> None:
    for name in ("boxes", "scores", "labels", "mask_logits"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("norm", ["gn", "frozen_bn"])
def test_images_of_one_padded_size_do_not_feel_each_other(kind: str, norm: str) -> None:
    """Padding is seen by convolutions near it; where it is equal, so is everything else."""
    model = detector(kind, norm=norm).eval()
    images = [image(50, 90, 1), image(64, 96, 2), image(33, 65, 3)]
    together = model.detect(images, INFERENCE)
    for each, alone in zip(images, together, strict=True):
        same(model.detect([each], INFERENCE)[0], alone)


def find_nothing(model: MaskRCNN) -> MaskRCNN:
    """Make the model call everything background."""
    torch.nn.init.zeros_(model.box_head.cls_score.weight)
    with torch.no_grad():
        model.box_head.cls_score.bias[-1] = 20.0
    return model.eval()


@pytest.mark.parametrize("kind", HEADS)
def test_nothing_found_in_any_image(kind: str) -> None:
    found = find_nothing(detector(kind)).detect([image(64, 96), image(40, 40)], INFERENCE)
    for each, size in zip(found, ((64, 96), (40, 40)), strict=True):
        check_detections(each, *size, side=HEADS[kind])
        assert len(each.scores) == 0


@pytest.mark.parametrize("kind", HEADS)
def test_no_proposals_at_all(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when training has diverged: every proposal is NaN and dropped."""
    model = detector(kind)
    none = [torch.zeros(0, 4), torch.zeros(0, 4)]
    monkeypatch.setattr(model.rpn, "propose", lambda *_: none)
    losses = losses_of(model, BATCHES["none with objects"])
    assert all(loss.isfinite() for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    found = model.eval().detect([image(64, 96), image(40, 40)], INFERENCE)
    assert [len(each.scores) for each in found] == [0, 0]


def boxes_seen_by_the_mask_head(
    model: MaskRCNN, monkeypatch: pytest.MonkeyPatch
) -> list[Proposals]:
    seen: list[list[Proposals]] = []
    losses = model.mask_head.losses

    def spy(
        features: dict[str, Tensor], proposals: list[Proposals], targets: list[Target]
    ) -> dict[str, Tensor]:
        seen.append(proposals)
        return losses(features, proposals, targets)

    monkeypatch.setattr(model.mask_head, "losses", spy)
    torch.manual_seed(5)
    losses_of(model, BATCHES["with objects"])
    return seen[0]


def test_training_on_refined_boxes_changes_what_the_mask_head_sees(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refined, proposed = (
        boxes_seen_by_the_mask_head(detector("pointrend", train_on_refined_boxes=on), monkeypatch)
        for on in (True, False)
    )
    for a, b in zip(refined, proposed, strict=True):
        assert a.labels.tolist() == b.labels.tolist()
        assert a.matched.tolist() == b.matched.tolist()
        assert (a.labels < NUM_CLASSES).all()
        assert len(a.boxes) > 0
        assert not (a.boxes == b.boxes).all(1).any()
        assert not a.boxes.requires_grad


def test_the_4x_conv_head_trains_on_proposals_as_the_paper_says() -> None:
    assert not detector("4conv").mask_head.train_on_refined_boxes
    assert detector("pointrend").mask_head.train_on_refined_boxes


def test_inference_settings_choose_the_resolution_of_one_trained_model() -> None:
    model = detector("pointrend").eval()
    low, high = (
        model.detect([image(64, 96)], InferenceSettings(output_resolution=m, points_per_step=784))
        for m in (28, 224)
    )
    assert torch.equal(low[0].boxes, high[0].boxes)
    assert low[0].mask_logits.shape[1:] == (28, 28)
    assert high[0].mask_logits.shape[1:] == (224, 224)


@pytest.mark.parametrize("kind", HEADS)
def test_masks_in_the_boxes_that_were_detected_are_the_detected_masks(kind: str) -> None:
    model = detector(kind).eval()
    images = [image(64, 80), image(96, 64, seed=1)]
    found = model.detect(images, INFERENCE)
    boxes, labels = [d.boxes for d in found], [d.labels for d in found]
    assert min(len(b) for b in boxes) > 0
    masks = model.masks_in_boxes(images, boxes, labels, INFERENCE)
    torch.testing.assert_close(masks, torch.cat([d.mask_logits for d in found]))
