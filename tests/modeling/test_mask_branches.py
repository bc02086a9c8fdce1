"""Mask branches of Mask R-CNN's tables: softmax, class-agnostic, fully connected, and none."""

from typing import Any

import pytest
import torch
from mask_head_cases import (
    BOXES,
    CHANNELS,
    LABELS,
    NO_LABELS,
    NONE,
    NUM_CLASSES,
    matched,
    pyramid,
    targets,
)
from pydantic import TypeAdapter, ValidationError
from test_detector import BATCHES, check_detections, detector, image, losses_of

from pointrend_repro.base.errors import UserError
from pointrend_repro.modeling.mask_heads import build_mask_head
from pointrend_repro.modeling.mask_heads.grid import GridMaskHead
from pointrend_repro.modeling.mask_heads.mlp import MlpMaskHead
from pointrend_repro.modeling.mask_heads.targets import crop_masks, softmax_of_class
from pointrend_repro.modeling.pooling import build_roi_layer, pool_rois
from pointrend_repro.settings.heads import MaskHeadSettings, MlpMaskSettings
from pointrend_repro.settings.instances import InferenceSettings, RoiLayerSettings
from pointrend_repro.tools.conformance import CHECKS
from pointrend_repro.tools.head_case import Case

SETTINGS: TypeAdapter[MaskHeadSettings] = TypeAdapter(MaskHeadSettings)
MLP = {"kind": "mlp", "channels": 8, "resolution": 6, "roi_resolution": 4}
CONV4 = {"kind": "4conv", "channels": 6, "roi_resolution": 4}
KINDS = {
    "softmax": CONV4 | {"mask_loss": "softmax"},
    "class-agnostic": CONV4 | {"class_agnostic": True},
    "mlp": MLP,
    "mlp of three": MLP | {"hidden_layers": 3},
    "softmax mlp": MLP | {"mask_loss": "softmax"},
    "class-agnostic mlp": MLP | {"class_agnostic": True},
}
EACH_KIND = pytest.mark.parametrize("values", KINDS.values(), ids=KINDS.keys())


def head_of(values: dict[str, Any]) -> GridMaskHead:
    torch.manual_seed(0)
    head = build_mask_head(
        SETTINGS.validate_python(values),
        in_channels=CHANNELS,
        trunk_channels=(CHANNELS,) * 4,
        num_classes=NUM_CLASSES,
    )
    assert isinstance(head, GridMaskHead)
    for name, parameter in head.named_parameters():
        if name.endswith("bias") or "predict" in name:
            torch.nn.init.normal_(parameter, std=1.0)
    return head


@EACH_KIND
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_branches_do_what_every_head_must(values: dict[str, Any], check: Any) -> None:
    check(Case(SETTINGS.validate_python(values)))


@EACH_KIND
def test_predicted_masks_are_of_the_class_in_all_logits(values: dict[str, Any]) -> None:
    head, features = head_of(values), pyramid()
    logits, classes = head(features, BOXES), torch.cat(LABELS)
    got = head.predict(features, BOXES, LABELS, InferenceSettings())
    channels = NUM_CLASSES + 1 if values.get("mask_loss") == "softmax" else NUM_CLASSES
    channels = 1 if values.get("class_agnostic") else channels
    assert logits.shape[:2] == (4, channels)
    for mask, of_box, k in zip(got, logits, classes.tolist(), strict=True):
        if values.get("mask_loss") == "softmax":
            torch.testing.assert_close(mask.sigmoid(), of_box.softmax(0)[k])
        else:
            torch.testing.assert_close(mask, of_box[0 if channels == 1 else k])


def test_softmax_loss_is_the_cross_entropy_of_the_class_or_background_in_each_cell() -> None:
    head, features = head_of(KINDS["softmax"]), pyramid()
    proposals, objects = matched(BOXES, LABELS), targets()
    loss = head.losses(features, proposals, objects)["loss_mask"]
    logits = head(features, BOXES)
    masks = crop_masks(proposals, objects, logits.shape[-1])
    losses = [
        -of_cell.softmax(0)[k if is_on else NUM_CLASSES].log()
        for of_box, mask, k in zip(logits, masks, torch.cat(LABELS).tolist(), strict=True)
        for of_cell, is_on in zip(of_box.flatten(1).T, mask.flatten(), strict=True)
    ]
    assert 50 < masks.sum() < masks.numel() - 50
    torch.testing.assert_close(loss, torch.stack(losses).mean())


def test_a_pixel_of_a_softmax_is_on_if_its_class_has_more_than_half() -> None:
    """Class 0 is the most probable in the first two cells, and has more than half in the first."""
    probabilities = torch.tensor([[0.6, 0.3, 0.1], [0.45, 0.35, 0.2], [0.2, 0.7, 0.1]])
    logits = probabilities.log().T.reshape(1, 3, 1, 3) + 2.7
    mask = softmax_of_class(logits, torch.tensor([0]))
    assert (mask[0, 0] > 0).tolist() == [True, False, False]
    torch.testing.assert_close(mask.sigmoid()[0, 0], probabilities[:, 0])


def test_softmax_is_over_classes_so_it_cannot_be_class_agnostic() -> None:
    for values in (CONV4, MLP):
        with pytest.raises(ValidationError, match="softmax is over classes"):
            SETTINGS.validate_python(values | {"mask_loss": "softmax", "class_agnostic": True})


def test_a_class_agnostic_head_starts_as_detectron_s_and_ignores_the_class() -> None:
    """Gaussian weights of 0.001 (Detectron, mask_rcnn_heads.py); a mask is of the box alone."""
    settings = SETTINGS.validate_python({"kind": "4conv", "class_agnostic": True})
    head = build_mask_head(settings, in_channels=8, trunk_channels=(8,) * 4, num_classes=80)
    assert head.predictor.weight.shape == (1, 256, 1, 1)
    assert head.predictor.weight.std().item() == pytest.approx(0.001, rel=0.2)
    head, features = head_of(KINDS["class-agnostic"]), pyramid()
    others = [(k + 1) % NUM_CLASSES for k in LABELS]
    masks = [head.predict(features, BOXES, k, InferenceSettings()) for k in (LABELS, others)]
    assert torch.equal(*masks)


@pytest.mark.parametrize("hidden", [2, 3])
def test_an_mlp_is_its_layers(hidden: int) -> None:
    head, features = head_of(MLP | {"hidden_layers": hidden}), pyramid()
    x = pool_rois(features, BOXES, 4).flatten(1)
    layers = [m for m in head.modules() if isinstance(m, torch.nn.Linear)]
    assert len(layers) == hidden + 1
    for layer in layers[:-1]:
        x = (x @ layer.weight.T + layer.bias).clamp(min=0)
    x = x @ layers[-1].weight.T + layers[-1].bias
    torch.testing.assert_close(head(features, BOXES), x.view(4, NUM_CLASSES, 6, 6))


@pytest.mark.parametrize(("hidden", "count"), [(2, 116_718_848), (3, 117_768_448)])
def test_the_paper_s_mlps_have_their_sizes(hidden: int, count: int) -> None:
    """fc 1024-1024-80*28^2, and one more hidden layer, from 14x14x256; counted by hand."""
    settings = MlpMaskSettings(kind="mlp", hidden_layers=hidden)
    with torch.device("meta"):
        head = MlpMaskHead(256, 80, settings, pool_rois)
    assert sum(p.numel() for p in head.parameters()) == count


@EACH_KIND
def test_heads_crop_with_the_layer_that_they_are_given(values: dict[str, Any]) -> None:
    layer = RoiLayerSettings(kind="roi_pool", aggregation="max")
    strides = {"p3": 8}
    torch.manual_seed(0)
    head = build_mask_head(
        SETTINGS.validate_python(values),
        in_channels=CHANNELS,
        trunk_channels=(CHANNELS,) * 4,
        num_classes=NUM_CLASSES,
        roi_layer=build_roi_layer(layer, strides),
    )
    assert head is not None
    only = {"p3": pyramid()["p3"]}
    masks = head.predict(only, BOXES, LABELS, InferenceSettings())
    # RoIPool does not feel a shift that rounds to the same cells.
    moved = [box + 0.2 for box in (BOXES[0], BOXES[1] - 1.2)]
    still = head.predict(only, [moved[0], moved[1] + 1.0], LABELS, InferenceSettings())
    assert torch.equal(masks, still)


@EACH_KIND
@pytest.mark.parametrize("batch", ["with objects", "none with objects"])
def test_a_step_trains_every_parameter(values: dict[str, Any], batch: str) -> None:
    model = detector(**values)
    losses = losses_of(model, BATCHES[batch])
    assert all(loss.isfinite() and loss >= 0 for loss in losses.values()), losses
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
    assert (losses["loss_mask"] > 0) == (batch == "with objects")
    found = model.eval().detect([image(64, 96), image(64, 64)], InferenceSettings())
    side = values["resolution"] if values["kind"] == "mlp" else 2 * values["roi_resolution"]
    check_detections(found[0], 64, 96, side=side)
    assert len(found[0].boxes) == 10


def test_a_detector_without_masks_learns_and_finds_boxes() -> None:
    model = detector("none")
    assert not any(name.startswith("mask_head") for name in model.state_dict())
    losses = losses_of(model, BATCHES["with objects"])
    assert set(losses) == {"loss_rpn_objectness", "loss_rpn_box", "loss_cls", "loss_box"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    found = model.eval().detect([image(64, 96), image(64, 64)], InferenceSettings())
    assert [each.mask_logits for each in found] == [None, None]
    assert len(found[0].boxes) == len(found[0].scores) == 10
    with pytest.raises(UserError, match=r"no mask head .* predicts boxes only"):
        model.masks_in_boxes([image(64, 96)], [NONE], [NO_LABELS], InferenceSettings())


def test_its_boxes_are_those_of_the_same_model_with_masks() -> None:
    with_masks, without = detector("4conv").eval(), detector("none").eval()
    shared = {k: v for k, v in with_masks.state_dict().items() if not k.startswith("mask_head")}
    without.load_state_dict(shared)
    images = [image(64, 96), image(40, 64)]
    pairs = (m.detect(images, InferenceSettings()) for m in (with_masks, without))
    for full, boxes in zip(*pairs, strict=True):
        assert torch.equal(full.boxes, boxes.boxes)
        assert torch.equal(full.labels, boxes.labels)
        assert torch.equal(full.scores, boxes.scores)


@pytest.mark.parametrize("layer", ["roi_pool", "roi_warp", "roi_align"])
def test_a_detector_trains_and_detects_with_each_roi_layer(layer: str) -> None:
    ratio = {} if layer == "roi_pool" else {"sampling_ratio": 2}
    settings = {"kind": layer, "aggregation": "max"} | ratio
    model = detector("4conv", roi_layer=settings)
    losses = losses_of(model, BATCHES["with objects"])
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    plain = detector("4conv")
    assert not torch.equal(
        losses["loss_mask"], losses_of(plain, BATCHES["with objects"])["loss_mask"]
    )
    (found,) = model.eval().detect([image(64, 96)], InferenceSettings())
    check_detections(found, 64, 96, side=28)
