"""Detectors on VGG-16 (Fast R-CNN 1504.08083), against torchvision's classifier."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_head_cases import BOXES, NUM_CLASSES, targets
from pydantic import ValidationError
from torch import Tensor, nn
from torchvision.models import vgg, vgg16
from torchvision.ops import box_iou

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.imagenet import load_trunk
from pointrend_repro.modeling.backbone import FPNBackbone, TrunkBackbone
from pointrend_repro.modeling.box_head import FcBoxHead
from pointrend_repro.modeling.boxes import match_boxes
from pointrend_repro.modeling.build import build_detector, build_mask_rcnn
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings

# Pixels as torchvision's weights need them.
RGB = {
    "channel_order": "RGB",
    "pixel_mean": [123.675, 116.280, 103.530],
    "pixel_std": [58.395, 57.120, 57.375],
    "stride_in_1x1": False,
}
NARROW: list[str | int] = [c // 8 if isinstance(c, int) else c for c in vgg.cfgs["D"]]
HIDDEN = 24


def model_settings(name: str = "vgg16_narrow", **changes: Any) -> ModelSettings:
    detector = {
        "roi_layer": {"kind": "roi_pool", "aggregation": "max"},
        "box_head_channels": HIDDEN,
        "rpn_post_nms": 20,
        "roi_batch_per_image": 16,
    }
    values: dict[str, Any] = {
        "features": "c5",
        "backbone": {"name": name} | RGB | changes.pop("backbone", {}),
        "detector": detector | changes.pop("detector", {}),
        "mask_head": {"kind": "none"},
    }
    return ModelSettings.model_validate(values | changes)


def detector(**changes: Any) -> MaskRCNN:
    torch.manual_seed(0)
    return build_mask_rcnn(model_settings(**changes), NUM_CLASSES)


def images(height: int = 64, width: int = 96) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 256, (3, height, width), generator=generator).byte() for _ in BOXES]


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def test_parameters_are_those_of_the_classifier() -> None:
    with torch.device("meta"):
        theirs = vgg16()
        ours = build_mask_rcnn(model_settings("vgg16", detector={"box_head_channels": 4096}), 80)
    assert isinstance(ours.box_head, FcBoxHead)
    assert count(ours.backbone) == count(theirs.features) == 14_714_688
    linear = [layer for layer in theirs.classifier if isinstance(layer, nn.Linear)]
    assert count(ours.box_head.fc1, ours.box_head.fc2) == count(*linear[:2]) == 119_545_856
    assert ours.backbone.strides == {"conv5": 16}


@pytest.fixture
def classifier(tmp_path: Path) -> tuple[nn.Module, Path]:
    """A narrow VGG-16 with random weights, and its file.

    Its names are those of vgg16-397923af.pth (torchvision 0.29, `vgg16().state_dict()`).
    """
    torch.manual_seed(1)
    theirs = nn.Module()
    theirs.features = vgg.make_layers(NARROW)
    theirs.classifier = nn.Sequential(
        *(nn.Linear(64 * 7 * 7, HIDDEN), nn.ReLU(), nn.Dropout()),
        *(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Dropout()),
        nn.Linear(HIDDEN, 10),
    )
    torch.save(theirs.state_dict(), tmp_path / "vgg16.pth")
    return theirs.eval(), tmp_path / "vgg16.pth"


def test_a_box_around_a_whole_image_is_the_classifiers_view_of_it(
    classifier: tuple[nn.Module, Path],
) -> None:
    theirs, path = classifier
    ours = detector(backbone={"weights": str(path)}, detector={"box_head_dropout": 0.5}).eval()
    load_trunk(ours, ours.settings)
    (image,) = images(224, 224)[:1]
    mean, std = (torch.tensor(RGB[key]).view(3, 1, 1) for key in ("pixel_mean", "pixel_std"))
    with torch.no_grad():
        features = ours.backbone([image])
        box = torch.tensor([[0.0, 0, 208, 208]])  # RoIPool takes both ends: cells 0 to 13
        rois = ours.box_head.roi_features(features, [box])
        found = ours.box_head.vectors(rois)
        x = theirs.features(((image - mean) / std)[None])
        expected = theirs.classifier[:5](x.flatten(1))
    assert expected.abs().max() > 0.01
    assert torch.allclose(found, expected, atol=1e-5)


def test_proposals_alone_need_no_linear_layers(classifier: tuple[nn.Module, Path]) -> None:
    theirs, path = classifier
    settings = model_settings(backbone={"weights": str(path)}, rpn_only=True)
    ours = build_detector(settings, NUM_CLASSES)
    load_trunk(ours, settings)
    first = ours.backbone.bottom_up.state_dict()["features.0.weight"]
    assert torch.equal(first, theirs.state_dict()["features.0.weight"])


def test_linear_layers_of_another_width_do_not_fit(classifier: tuple[nn.Module, Path]) -> None:
    changes = {"backbone": {"weights": str(classifier[1])}, "detector": {"box_head_channels": 9}}
    ours = detector(**changes)
    with pytest.raises(UserError, match=r"does not fit backbone vgg16_narrow.*fc1"):
        load_trunk(ours, ours.settings)


def test_missing_weights_are_told_with_their_address(tmp_path: Path) -> None:
    ours = detector(backbone={"weights": str(tmp_path / "none.pth")})
    object.__setattr__(ours.settings.backbone, "name", "vgg16")
    with pytest.raises(UserError, match=r"download.*/vgg16-397923af\.pth"):
        load_trunk(ours, ours.settings)


@pytest.mark.parametrize(("freeze_at", "frozen"), [(2, [0, 2, 5, 7]), (0, [])])
def test_conv3_1_and_up_are_trained(freeze_at: int, frozen: list[int]) -> None:
    ours = detector(backbone={"freeze_at": freeze_at}).train()
    losses = ours(images(), targets())
    sum(losses.values()).backward()
    features = ours.backbone.bottom_up.features
    convolutions = [i for i, layer in enumerate(features) if isinstance(layer, nn.Conv2d)]
    assert [i for i in convolutions if features[i].weight.grad is None] == frozen
    assert len(convolutions) == 13
    assert ours.box_head.fc1.weight.grad is not None


def test_dropout_is_for_training_alone() -> None:
    head = detector(detector={"box_head_dropout": 0.5, "box_head_channels": 2000}).box_head
    x = torch.rand(3, 64, 7, 7)
    plain = detector(detector={"box_head_channels": 2000}).box_head
    plain.load_state_dict(head.state_dict())
    assert torch.equal(head.eval().vectors(x), plain.eval().vectors(x))
    dropped = (head.train().vectors(x) == 0).float().mean()
    assert dropped > 0.5 > (plain.train().vectors(x) == 0).float().mean() - 0.2
    assert torch.equal(plain.vectors(x), plain.eval().vectors(x))


def test_the_last_pixels_count_where_a_side_is_no_multiple_of_the_stride() -> None:
    """Caffe pools with ceil: 600 pixels have 38 cells, the last of which sees the last 8 pixels."""
    ours = detector().eval()
    plain, changed = (torch.full((3, 600, 40), 100.0) for _ in range(2))
    changed[:, 599:] = 255
    with torch.no_grad():
        before, after = (ours.backbone([image])["conv5"] for image in (plain, changed))
    assert before.shape[2:] == (38, 3)
    assert not torch.equal(before[:, :, 37], after[:, :, 37])


def test_an_image_of_less_than_a_cell_has_detections() -> None:
    ours = detector(detector={"score_threshold": 0.0}).eval()
    (found,) = ours.detect(images(9, 40)[:1], InferenceSettings())
    assert len(found.boxes) > 0


def test_it_detects_in_given_boxes_and_in_its_own() -> None:
    ours = detector(detector={"score_threshold": 0.0}).eval()
    given = ours.detect(images(), InferenceSettings(), BOXES)
    assert [len(each.boxes) > 0 for each in given] == [True, True]
    assert len(ours.detect(images(), InferenceSettings())[0].boxes) > 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), objects=st.integers(0, 3), low=st.sampled_from([0.0, 0.1, 0.3]))
def test_boxes_that_overlap_no_object_enough_are_ignored(
    seed: int, objects: int, low: float
) -> None:
    generator = torch.Generator().manual_seed(seed)

    def boxes(number: int) -> Tensor:
        corner = torch.randint(0, 8, (number, 2), generator=generator)
        size = torch.randint(1, 8, (number, 2), generator=generator)
        return torch.cat([corner, corner + size], dim=1).double()

    candidates, truth = boxes(12), boxes(objects)
    _, state = match_boxes(
        candidates,
        truth,
        negative_below=0.5,
        positive_from=0.5,
        keep_best_of_each_gt=False,
        negative_from=low,
    )
    for box, found in zip(candidates, state.tolist(), strict=True):
        best = box_iou(truth, box[None]).max().item() if objects else 0.0
        assert found == (1 if best >= 0.5 else 0 if best >= low else -1)


def test_a_batch_has_no_background_of_lower_overlap() -> None:
    head = detector(detector={"roi_negative_from": 0.1}).box_head
    wanted = targets()
    proposals = [torch.cat([boxes, torch.tensor([[90.0, 0, 96, 4]])]) for boxes in BOXES]
    for sampled, target in zip(head.sample(proposals, wanted), wanted, strict=True):
        background = sampled.boxes[sampled.labels == NUM_CLASSES]
        overlaps = box_iou(background, target.boxes).amax(dim=1)
        assert (overlaps >= 0.1).all()
        assert len(sampled.boxes) > 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"features": "fpn"}, "backbone.name vgg16_narrow needs features: c5"),
        ({"features": "c4"}, "backbone.name vgg16_narrow needs features: c5"),
        ({"backbone": {"output_stride": 16}}, "backbone.output_stride does not apply to vgg16"),
        ({"backbone": {"deformable": True}}, "backbone.deformable does not apply to vgg16"),
        ({"detector": {"box_head_dropout": 1.0}}, "less than 1"),
        ({"detector": {"roi_negative_from": 0.5}}, "less than 0.5"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        model_settings(**changes)


@pytest.mark.parametrize("kind", [FPNBackbone, TrunkBackbone])
def test_other_models_cannot_use_it(kind: type[TrunkBackbone]) -> None:
    with pytest.raises(UserError, match=r"vgg16.*only detectors with features: c5"):
        kind(BackboneSettings(name="vgg16"))
