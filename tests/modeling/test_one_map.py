"""Detectors on one map: C4, whose heads share res5, and C5 (Mask R-CNN 1703.06870, Figure 3)."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mask_head_cases import BOXES, LABELS, NUM_CLASSES, matched, targets
from pydantic import ValidationError
from torch import Tensor, nn
from torchvision.ops import roi_align

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.structures import Target
from pointrend_repro.modeling.box_head import Res5BoxHead
from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.modeling.mask_heads.res5 import Res5MaskHead
from pointrend_repro.modeling.mask_heads.targets import crop_masks
from pointrend_repro.settings.instances import DetectorOverrides, InferenceSettings, ModelSettings
from pointrend_repro.tools.export.graph import DetectorGraph

SMALL = {"rpn_post_nms": 20, "roi_batch_per_image": 16, "box_head_channels": 8}


def settings(features: str = "c4", head: str = "res5", **detector: object) -> ModelSettings:
    values = {
        "backbone": {"name": "resnet18_narrow", "norm": "gn", "freeze_at": 0, "fpn_channels": 8},
        "detector": SMALL | detector,
        "features": features,
        "mask_head": {"kind": head, "channels": 4},
    }
    return ModelSettings.model_validate(values)


def detector(features: str = "c4", head: str = "res5", **changes: object) -> MaskRCNN:
    torch.manual_seed(0)
    model = build_mask_rcnn(settings(features, head, **changes), NUM_CLASSES)
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or name.startswith(("box_head.cls", "mask_head.pred")):
            nn.init.normal_(parameter, std=0.1)  # predictors start near zero
    return model


def images() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 256, (3, 64, 96), generator=generator).byte() for _ in BOXES]


def parameters(module: nn.Module) -> int:
    """Count weights, and the scales and shifts of frozen norms, as the paper's readers do."""
    state = module.state_dict().items()
    return sum(t.numel() for name, t in state if not name.split(".")[-1].startswith("running"))


@pytest.fixture(scope="module")
def c4() -> MaskRCNN:
    values = {"backbone": {"name": "resnet50"}, "features": "c4", "mask_head": {"kind": "res5"}}
    with torch.device("meta"):
        return build_mask_rcnn(ModelSettings.model_validate(values), 80)


class TestParameters:
    """Counted layer by layer from the paper's figure, independently of this code."""

    def test_c4(self, c4: MaskRCNN) -> None:
        assert isinstance(c4.box_head, Res5BoxHead)
        assert c4.rpn is not None
        assert c4.mask_head is not None
        assert parameters(c4.backbone.bottom_up) == 8_543_296
        assert parameters(c4.box_head.res5) == 14_964_736
        assert parameters(c4.rpn) == 9_515_083
        assert parameters(c4.mask_head) == 2_117_968
        # 81 classes, and four numbers for each of 80.
        predictors = c4.box_head.cls_score, c4.box_head.bbox_pred
        assert sum(map(parameters, predictors)) == 829_845 - 8_196

    def test_fpn(self) -> None:
        values = {"backbone": {"name": "resnet50"}, "mask_head": {"kind": "4conv"}}
        with torch.device("meta"):
            model = build_mask_rcnn(ModelSettings.model_validate(values), 80)
        assert model.rpn is not None
        assert model.mask_head is not None
        assert parameters(model.backbone) == 26_852_416
        assert parameters(model.rpn) == 593_935
        assert parameters(model.mask_head) == 2_643_280

    def test_c5_has_the_heads_of_a_pyramid_on_2048_channels(self) -> None:
        values = {
            "backbone": {"name": "resnet50"},
            "features": "c5",
            "mask_head": {"kind": "4conv"},
        }
        with torch.device("meta"):
            model = build_mask_rcnn(ModelSettings.model_validate(values), 80)
        assert parameters(model.box_head) == (2048 * 49 + 1) * 1024 + 1025 * 1024 + 1025 * 401
        assert model.backbone.strides == {"res5": 32}

    def test_shared_weights_are_in_a_model_once(self, c4: MaskRCNN) -> None:
        assert not any("res5" in name for name in c4.mask_head.state_dict())


@pytest.mark.parametrize(("stride", "side"), [(1, 7), (2, 14)])
def test_heads_are_those_of_the_figure(stride: int, side: int) -> None:
    """RoI features one box at a time, and the layers written out."""
    model = detector(res5_stride=stride).eval()
    features = model.backbone(images())
    assert list(features) == ["res4"]
    box_head, mask_head = model.box_head, model.mask_head
    assert isinstance(mask_head, Res5MaskHead)
    logits, deltas = box_head(features, BOXES)
    masks = mask_head(features, BOXES)
    boxes = [(image, box) for image, own in enumerate(BOXES) for box in own]
    for row, (image, box) in enumerate(boxes):
        x = roi_align(features["res4"][image : image + 1], [box[None]], side, 1 / 16, aligned=True)
        first, *others = box_head.res5
        assert first.conv1.stride == (stride, stride)
        for block in (first, *others):
            inner = F.relu(block.conv1.norm(conv(block.conv1, x)))
            inner = block.conv2.norm(conv(block.conv2, inner))
            shortcut = block.shortcut
            if not isinstance(shortcut, nn.Identity):
                x = shortcut.norm(conv(shortcut, x))
            x = F.relu(inner + x)
        assert x.shape[2:] == (7, 7)
        mean = x.flatten(2).mean(2)
        torch.testing.assert_close(logits[row : row + 1], box_head.cls_score(mean))
        torch.testing.assert_close(deltas[row].flatten(), box_head.bbox_pred(mean)[0])
        up = F.conv_transpose2d(x, mask_head.deconv.weight, mask_head.deconv.bias, stride=2)
        torch.testing.assert_close(masks[row : row + 1], mask_head.predictor(F.relu(up)))
    assert masks.shape == (4, NUM_CLASSES, 14, 14)


def conv(layer: nn.Conv2d, x: Tensor) -> Tensor:
    return F.conv2d(x, layer.weight, None, layer.stride, layer.padding)


def test_training_shares_what_res5_has_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass of res5, whose loss and gradients are those of two passes."""
    model = detector().train()
    calls: list[int] = []
    model.box_head.res5.register_forward_hook(lambda *args: calls.append(len(args[2])))
    found = []
    for shares in (True, False):
        monkeypatch.setattr(Res5MaskHead, "shares_roi_features", shares)
        if not shares:
            monkeypatch.setattr(
                Res5MaskHead,
                "training_logits",
                lambda self, features, proposals: self(features, [p.boxes for p in proposals]),
            )
        model.zero_grad()
        torch.manual_seed(1)
        losses = model(images(), targets())
        sum(losses.values()).backward()
        grads = {name: copy.deepcopy(p.grad) for name, p in model.named_parameters()}
        found.append(({name: loss.item() for name, loss in losses.items()}, grads))
        assert all(grad is not None for grad in grads.values())
    assert len(calls) == 3  # one and two
    assert calls[0] == calls[1] > calls[2]
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-3, atol=1e-5)


def test_the_mask_loss_is_of_the_foreground_boxes_own_rows() -> None:
    model = detector()
    features = model.backbone(images())
    proposals = matched(BOXES, LABELS)
    rois = model.box_head.roi_features(features, BOXES).split([len(b) for b in BOXES])
    given = [
        type(p)(p.boxes, p.labels, p.matched, x).select(torch.arange(len(p.boxes)).flip(0))
        for p, x in zip(proposals, rois, strict=True)
    ]
    (loss,) = model.mask_head.losses(features, given, targets()).values()
    logits = model.mask_head(features, BOXES)
    own = logits[torch.arange(len(logits)), torch.cat(LABELS)]
    wanted = F.binary_cross_entropy_with_logits(own, crop_masks(proposals, targets(), 14))
    torch.testing.assert_close(loss, wanted)


def test_no_foreground_gives_gradients_all_the_same() -> None:
    model = detector().train()
    empty = Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 64, 96) > 0)
    losses = model(images()[:1], [empty])
    sum(losses.values()).backward()
    assert losses["loss_mask"].item() == 0
    assert all(p.grad is not None for p in model.parameters())


KINDS = [("c4", "res5"), ("c4", "4conv"), ("c5", "4conv"), ("fpn", "4conv")]


@pytest.mark.parametrize(("features", "head"), [("c4", "res5"), ("c5", "4conv")])
def test_training_learns_one_image(features: str, head: str) -> None:
    anchors = (8, 16, 32, 48, 64)
    model = detector(features, head, box_head_channels=64, anchor_sizes_px=anchors).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    history = []
    for _ in range(8):
        torch.manual_seed(0)  # the same draw of anchors and boxes
        loss = sum(model(images()[:1], targets()[:1]).values())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        history.append(loss.item())
    assert min(history) < 0.7 * history[0]


@pytest.mark.parametrize(("features", "head"), KINDS)
def test_detections_are_of_every_image(features: str, head: str) -> None:
    model = detector(features, head, score_threshold=0.0, detections_per_image=7).eval()
    found = model.detect(images(), InferenceSettings())
    for each in found:
        assert len(each.boxes) == 7
        assert each.mask_logits is not None
        assert each.mask_logits.shape[0] == 7
        assert each.mask_logits.isfinite().all()


class TestOneMap:
    def test_all_anchors_are_on_it(self) -> None:
        rpn = detector(anchor_sizes_px=(32, 64, 128, 256, 512)).rpn
        assert rpn is not None
        (cell,) = rpn.cells
        areas = (cell[:, 2] - cell[:, 0]) * (cell[:, 3] - cell[:, 1])
        ratios = (cell[:, 3] - cell[:, 1]) / (cell[:, 2] - cell[:, 0])
        sizes = [32.0] * 3 + [64.0] * 3 + [128.0] * 3 + [256.0] * 3 + [512.0] * 3
        torch.testing.assert_close(areas.sqrt(), torch.tensor(sizes))
        torch.testing.assert_close(ratios, torch.tensor([0.5, 1, 2] * 5))
        assert rpn.objectness_logits.out_channels == 15
        assert rpn.conv.out_channels == 64  # as wide as the map

    def test_batches_are_not_padded_to_whole_cells(self) -> None:
        """Convolutions pad what is missing with zeros, as in detectron2."""
        model = detector("c5", "4conv").eval()
        ragged = torch.randint(0, 256, (3, 70, 101)).byte()
        assert model.backbone([ragged])["res5"].shape[2:] == (3, 4)
        assert model.backbone([ragged, images()[0]])["res5"].shape[2:] == (3, 4)

    def test_a_dilated_res5_has_stride_16(self) -> None:
        values = settings("c5", "4conv").model_dump(mode="json")
        values["backbone"]["output_stride"] = 16
        model = build_mask_rcnn(ModelSettings.model_validate(values), NUM_CLASSES)
        assert model.backbone.strides == model.backbone.roi_strides == {"res5": 16}
        assert model.backbone(images())["res5"].shape[2:] == (4, 6)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"features": "fpn"}, "mask_head.kind res5 needs features: c4, not fpn"),
        ({"features": "c5"}, "mask_head.kind res5 needs features: c4, not c5"),
        ({"mask_head": {"kind": "pointrend"}}, "mask_head.kind pointrend needs features: fpn"),
        ({"mask_head": {"kind": "sharpmask"}}, "mask_head.kind sharpmask needs features: fpn"),
        (
            {"backbone": {"name": "resnet50", "output_stride": 16}},
            r"features: c4 leaves res5 to the head",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, object], told: str) -> None:
    values = settings().model_dump(mode="json") | changes
    with pytest.raises(ValidationError, match=told):
        ModelSettings.model_validate(values)


def test_a_preset_changes_models_by_their_features() -> None:
    """Such as fewer boxes where res5 runs on each of them, in preset smoke."""
    overrides = DetectorOverrides.model_validate(
        {"features": {"c4": {"detector": {"roi_batch_per_image": 8}}}}
    )
    for features, head, wanted in (("c4", "res5", 8), ("c5", "4conv", 16), ("fpn", "4conv", 16)):
        changed = overrides.of_model(settings(features, head).model_dump(mode="json"))
        assert changed["detector"]["roi_batch_per_image"] == wanted
    with pytest.raises(ValidationError):
        DetectorOverrides.model_validate({"features": {"c6": {}}})


@pytest.mark.parametrize(("features", "head"), [("c4", "res5"), ("c5", "4conv")])
def test_export_is_refused_in_one_line(features: str, head: str) -> None:
    with pytest.raises(UserError, match=rf"^model.features {features}: only detectors on a feat"):
        DetectorGraph(detector(features, head), InferenceSettings())
