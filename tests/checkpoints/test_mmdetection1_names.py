"""Checkpoints of the 3D-FUTURE challenge's winner, whose mmdetection was of version 1.1.

Names and shapes are those of github.com/zehuichen123/3DFuture_ins_seg at 6caaf9cd: its five
configurations in mmdet_furniture/furniture_config/pointrend and the modules that they name in
mmdet_furniture/mmdet. The files themselves were not to be had here.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from res2net_as_published import random_tensors
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.loading import load_known_model
from pointrend_repro.checkpoints.mmdetection1_names import from_mmdetection1, is_mmdetection1
from pointrend_repro.checkpoints.parts import load_parts
from pointrend_repro.checkpoints.reading import read_checkpoint
from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.settings.instances import ModelSettings
from pointrend_repro.settings.start_from import StartFrom

OUTPUTS = 35  # background and 34 categories
RES2NET = {"name": "res2net101", "stride_in_1x1": False, "deformable": True}
X101 = RES2NET | {"name": "resnext101_64x4d"}
ENRICHED = {"coarse_conv_channels": 512, "coarse_layers": 4, "point_channels": 512}
# What is special in backbone, detector and mask head, by the configuration's name.
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "x101_64x4d_dcn_fpn_fp16_p2p6": (X101, {}, {}),
    "x101_64x4d_dcn_fpnbfp_fp16_p2p6_lr001": (X101 | {"balancing_blocks": 1}, {}, {}),
    "x101_64x4d_dcn_fpnbfp_fp16_p2p6_enrichfeat": (
        X101 | {"balancing_blocks": 1},
        {},
        {"point_channels": 512},
    ),
    "res2net101_dcn_fpnbfp_fp16_p2p6_enrichfeat": (
        RES2NET | {"balancing_blocks": 1},
        {"box_head_layers": 4},
        ENRICHED | {"point_layers": 5},
    ),
    "res2net101_dcn_fpnbfp2repeat_p2p6_fp16_enrichfeat_largeboxalign": (
        RES2NET | {"balancing_blocks": 2},
        {"box_head_layers": 4, "box_roi_resolution": 10},
        ENRICHED | {"point_layers": 5},
    ),
}


def settings(name: str, **narrow: dict[str, Any]) -> ModelSettings:
    backbone, detector, head = (dict(part) for part in MODELS[name])
    detector |= {"class_agnostic_boxes": True}
    levels = ("p2", "p3", "p4", "p5", "p6")
    head = {"kind": "pointrend", "levels": levels, "coarse_resolution": 13,
            "coarse_conv_channels": 256} | head  # fmt: skip
    parts = {"backbone": backbone, "detector": detector, "mask_head": head}
    return ModelSettings.model_validate({k: v | narrow.get(k, {}) for k, v in parts.items()})


def theirs_of(model: ModelSettings) -> dict[str, Tensor]:
    """Random tensors under the fork's names, of the shapes that its configuration gives."""
    found: dict[str, Tensor] = {}

    def layer(name: str, *shape: int) -> None:
        found[f"{name}.weight"] = torch.randn(shape) / float(np.prod(shape[1:])) ** 0.5
        found[f"{name}.bias"] = torch.randn(shape[0])

    channels, detector, head = model.backbone.fpn_channels, model.detector, model.mask_head
    found |= {f"backbone.{n}": t for n, t in trunk_of(model.backbone.name).items()}
    neck = "neck.0." if model.backbone.balancing_blocks else "neck."
    widths = [t.shape[0] for n, t in found.items() if n.endswith(".0.conv3.weight")]
    for i, width in enumerate(widths):
        layer(f"{neck}lateral_convs.{i}.conv", channels, width, 1, 1)
        layer(f"{neck}fpn_convs.{i}.conv", channels, channels, 3, 3)
    for block in range(model.backbone.balancing_blocks):
        number = f"{block}." if model.backbone.balancing_blocks > 1 else ""
        for part in ("g", "theta", "phi", "conv_out"):
            layer(f"neck.1.refine.{number}{part}.conv", channels, channels, 1, 1)
    layer("rpn_head.rpn_conv", channels, channels, 3, 3)
    layer("rpn_head.rpn_cls", 3, channels, 1, 1)
    layer("rpn_head.rpn_reg", 12, channels, 1, 1)
    seen = channels * detector.box_roi_resolution**2
    for i in range(detector.box_head_layers):
        layer(f"bbox_head.shared_fcs.{i}", detector.box_head_channels, seen)
        seen = detector.box_head_channels
    layer("bbox_head.fc_cls", OUTPUTS, seen)
    layer("bbox_head.fc_reg", 4, seen)
    masks, width = "point_rend_roihead.mask_coarse_head", head.coarse_conv_channels
    layer(f"{masks}.reduce_channel_dim_conv.0", width, 5 * channels, 1, 1)
    layer(f"{masks}.reduce_spatial_dim_conv.0", width, width, 2, 2)
    seen = width * 13 * 13
    for k in range(head.coarse_layers):
        layer(f"{masks}.coarse_mask_fc{k + 1}", head.coarse_channels, seen)
        seen = head.coarse_channels
    layer(f"{masks}.prediction", OUTPUTS * 13 * 13, seen)
    points, seen = "point_rend_roihead.mask_point_head", 5 * channels + OUTPUTS
    for k in range(head.point_layers):
        layer(f"{points}.fc{k + 1}", head.point_channels, seen, 1)
        seen = head.point_channels + OUTPUTS
    layer(f"{points}.predictor", OUTPUTS, seen, 1)
    return found


def trunk_of(name: str) -> dict[str, Tensor]:
    blocks, stem = ((3, 4, 6, 3), 16) if "narrow" in name else ((3, 4, 23, 3), 64)
    if name.startswith("res2net"):
        found = random_tensors(8 if "narrow" in name else 26, stem, blocks)
    else:
        found = dict(torchvision.models.resnext101_64x4d().state_dict())
    found = {n: t for n, t in found.items() if not n.startswith("fc.")}
    for conv in [n for n in found if ".conv2.weight" in n or ".convs." in n]:
        if not conv.startswith("layer1."):
            seen = found[conv].shape[1] * (64 if "conv2" in conv else 1)
            base = conv.removesuffix("weight") + "conv_offset"
            found |= {
                f"{base}.weight": torch.zeros(18, seen, 3, 3),
                f"{base}.bias": torch.zeros(18),
            }
    return found


@pytest.mark.parametrize("name", MODELS)
def test_names_and_shapes_are_those_of_the_reports_models(name: str) -> None:
    with torch.device("meta"):
        theirs = theirs_of(settings(name))
        ours = build_model(settings(name), num_classes=OUTPUTS - 1).state_dict()
        found = from_mmdetection1(theirs)
    assert {n: t.shape for n, t in found.items()} == {n: t.shape for n, t in ours.items()}


NARROW = {
    "backbone": {"name": "res2net50_narrow", "fpn_channels": 8},
    "detector": {"box_head_channels": 8},
    "mask_head": {"coarse_conv_channels": 8, "coarse_channels": 8, "point_channels": 8},
}


@pytest.fixture(scope="module")
def theirs() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return theirs_of(settings("res2net101_dcn_fpnbfp_fp16_p2p6_enrichfeat", **NARROW))


@pytest.fixture(scope="module")
def ours(theirs: dict[str, Tensor]) -> MaskRCNN:
    model = build_mask_rcnn(
        settings("res2net101_dcn_fpnbfp_fp16_p2p6_enrichfeat", **NARROW), OUTPUTS - 1
    )
    model.load_state_dict(from_mmdetection1(theirs))
    return model.eval()


def test_classes_of_boxes_are_in_our_order(ours: MaskRCNN, theirs: dict[str, Tensor]) -> None:
    x = torch.randn(6, 8)
    layer = [theirs[f"bbox_head.fc_cls.{part}"] for part in ("weight", "bias")]
    wanted = F.linear(x, *layer).softmax(dim=1)
    found = ours.box_head.cls_score(x).softmax(dim=1)
    torch.testing.assert_close(found[:, :-1], wanted[:, 1:])
    torch.testing.assert_close(found[:, -1], wanted[:, 0])


def test_coarse_masks_lose_the_channel_of_background_alone(
    ours: MaskRCNN, theirs: dict[str, Tensor]
) -> None:
    def named(part: str) -> list[Tensor]:
        prefix = f"point_rend_roihead.mask_coarse_head.{part}"
        return [theirs[f"{prefix}.weight"], theirs[f"{prefix}.bias"]]

    sampled = torch.randn(3, 40, 26, 26)
    x = F.relu(F.conv2d(sampled, *named("reduce_channel_dim_conv.0")))
    x = F.relu(F.conv2d(x, *named("reduce_spatial_dim_conv.0"), stride=2)).flatten(1)
    for k in range(1, 5):
        x = F.relu(F.linear(x, *named(f"coarse_mask_fc{k}")))
    wanted = F.linear(x, *named("prediction")).view(3, OUTPUTS, 13, 13)
    found = ours.mask_head.coarse_head.from_samples(sampled)
    torch.testing.assert_close(found, wanted[:, 1:], rtol=1e-4, atol=1e-4)


def test_points_are_the_same_where_background_says_nothing(
    ours: MaskRCNN, theirs: dict[str, Tensor]
) -> None:
    """Its coarse logits are read by the winner's point head, and are not there in ours."""
    fine, coarse = torch.randn(2, 40, 7), torch.randn(2, OUTPUTS, 7)
    coarse[:, 0] = 0
    x = torch.cat([fine, coarse], dim=1)
    prefix = "point_rend_roihead.mask_point_head"
    for k in range(1, 6):
        x = F.conv1d(x, theirs[f"{prefix}.fc{k}.weight"], theirs[f"{prefix}.fc{k}.bias"])
        x = torch.cat([F.relu(x), coarse], dim=1)
    predictor = [theirs[f"{prefix}.predictor.{part}"] for part in ("weight", "bias")]
    wanted = F.conv1d(x, *predictor)[:, 1:]
    head = ours.mask_head.point_head
    found = head.predictor(head.hidden(fine, coarse[:, 1:]))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_boxes_of_each_class_and_mask_rcnns_masks() -> None:
    """mmdetection 1.1, fcn_mask_head.py and convfc_bbox_head.py, without agnostic boxes."""
    tensors = {
        "backbone.layer1.0.conv1.weight": torch.zeros(1),
        "bbox_head.fc_cls.bias": torch.arange(4.0),
        "bbox_head.fc_reg.bias": torch.arange(16.0),
        "mask_head.conv_logits.weight": torch.arange(8.0).view(4, 2, 1, 1),
    }
    found = from_mmdetection1(tensors)
    assert found["box_head.cls_score.bias"].tolist() == [1, 2, 3, 0]
    assert found["box_head.bbox_pred.bias"].tolist() == list(range(4, 16))
    assert found["mask_head.predictor.weight"].flatten().tolist() == list(range(2, 8))


def test_only_a_training_starts_from_such_a_file(
    tmp_path: Path, ours: MaskRCNN, theirs: dict[str, Tensor]
) -> None:
    path = tmp_path / "epoch_44.pth"
    torch.save({"meta": {"CLASSES": None, "epoch": 44}, "state_dict": theirs}, path)
    assert read_checkpoint(path).source == "mmdetection1"
    with pytest.raises(UserError, match=r"is of mmdetection 1\.x, .*only start_from takes it"):
        load_known_model("pointrend_r50_fpn_coco", path)
    model = settings("res2net101_dcn_fpnbfp_fp16_p2p6_enrichfeat", **NARROW)
    new = build_mask_rcnn(model, OUTPUTS - 1)
    load_parts(new, model.backbone, path, StartFrom(weights=str(path)))
    wanted = ours.state_dict()
    assert all(torch.equal(t, wanted[name]) for name, t in new.state_dict().items())


def cascade() -> dict[str, Tensor]:
    """A part of an HTC of mmdetection 1.1: heads are lists, which `roi_head` does not hold."""
    names = ("bbox_head.0.fc_cls.weight", "bbox_head.2.fc_reg.bias", "mask_head.0.conv_logits.bias")
    return {"rpn_head.rpn_cls.bias": torch.ones(3)} | {name: torch.ones(2) for name in names}


def solo() -> dict[str, Tensor]:
    """A part of a SOLOv2 of github.com/WXinlong/SOLO, mmdetection 1.0."""
    names = ("bbox_head.solo_cate.weight", "bbox_head.solo_kernel.bias", "mask_feat_head.a.weight")
    return {name: torch.ones(2) for name in names}


@pytest.mark.parametrize("heads", [cascade(), solo()], ids=["cascade", "solo"])
def test_of_cascades_and_solos_the_trunk_alone_is_taken(
    tmp_path: Path, ours: MaskRCNN, theirs: dict[str, Tensor], heads: dict[str, Tensor]
) -> None:
    path = tmp_path / "latest.pth"
    body = {n: t for n, t in theirs.items() if n.startswith(("backbone.", "neck."))}
    torch.save({"meta": {}, "state_dict": body | heads}, path)
    assert read_checkpoint(path).source == "mmdetection1"
    told = "a cascade or a SOLO of mmdetection 1"
    with pytest.raises(UserError, match=told) as refused:
        load_known_model("pointrend_r50_fpn_coco", path)
    assert "\n" not in str(refused.value)
    model = settings("res2net101_dcn_fpnbfp_fp16_p2p6_enrichfeat", **NARROW)
    new = build_mask_rcnn(model, OUTPUTS - 1)
    with pytest.raises(UserError, match=rf"{told}.*in start_from\.parts") as refused:
        load_parts(new, model.backbone, path, StartFrom(weights=str(path)))
    assert "\n" not in str(refused.value)
    start = StartFrom(weights=str(path), parts=["backbone"])
    load_parts(new, model.backbone, path, start)
    wanted, found = ours.backbone.state_dict(), new.backbone.state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in found.items())


def test_cascades_and_solos_since_2_are_no_such_files() -> None:
    names = ["roi_head.bbox_head.0.fc_cls.weight", "mask_head.conv_cls.weight"]
    assert not is_mmdetection1(names)
    assert is_mmdetection1([*names, "bbox_head.0.fc_cls.weight"])


ODD = {
    "weight without axes": {"bbox_head.fc_cls.weight": torch.tensor(1.0)},
    "no class at all": {
        "bbox_head.fc_cls.bias": torch.zeros(0),
        "mask_head.conv_logits.weight": torch.zeros(3, 3, 1, 1),
    },
    "sparse weight": {"bbox_head.fc_cls.weight": torch.zeros(3, 3).to_sparse_csr()},
    "masks without axes": {"mask_head.conv_logits.weight": torch.tensor(1.0)},
    "fewer inputs than classes": {
        "point_rend_roihead.mask_point_head.fc1.weight": torch.zeros(4, 2, 1)
    },
}


@pytest.mark.parametrize("kind", ODD)
def test_tensors_that_have_no_order_are_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    state = {
        "backbone.layer1.0.conv1.weight": torch.zeros(1),
        "bbox_head.fc_cls.bias": torch.zeros(3),
    }
    torch.save({"state_dict": state | ODD[kind]}, tmp_path / "epoch_12.pth")
    with pytest.raises(UserError, match=r"epoch_12\.pth: is of mmdetection 1\.x") as error:
        load_known_model("mask_rcnn_r50_fpn_coco", tmp_path / "epoch_12.pth")
    assert "\n" not in str(error.value)
