"""A training starts from ImageNet weights of any of their origins, or says why it cannot."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.detectron2_names import to_detectron2
from pointrend_repro.checkpoints.imagenet import load_imagenet_weights, load_trunk
from pointrend_repro.checkpoints.known_models import KNOWN_MODELS
from pointrend_repro.checkpoints.loading import load_known_model
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.reading import load_variant
from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.modeling.resnet import ResNet
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.instances import ModelSettings

RGB = {
    "channel_order": "RGB",
    "pixel_mean": (123.675, 116.280, 103.530),
    "pixel_std": (58.395, 57.120, 57.375),
    "stride_in_1x1": False,
}
# For files that are refused before the trunk is looked at.
NO_TRUNK = torch.nn.Identity()
BRANCHES = {"shortcut": "branch1", "conv1": "branch2a", "conv2": "branch2b", "conv3": "branch2c"}


def _trunk(settings: BackboneSettings) -> ResNet:
    return ResNet(
        settings.name, norm=settings.norm, stride_in_1x1=settings.stride_in_1x1, freeze_at=2
    )


def _settings(path: Path, name: str = "resnet50", **changes) -> BackboneSettings:
    return BackboneSettings(name=name, weights=str(path), **changes)


def _random_state(settings: BackboneSettings) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {k: torch.rand(v.shape) for k, v in _trunk(settings).state_dict().items()}


def _caffe2_name(name: str, norm: dict[str, str]) -> str:
    """Our name of a trunk's tensor, as Caffe2 writes it."""
    *module, tensor = name.split(".")
    if module[0] == "stem":
        return "conv1_w" if tensor == "weight" and len(module) == 2 else f"res_conv1_{norm[tensor]}"
    stage, block, branch, *rest = module
    return f"{stage}_{block}_{BRANCHES[branch]}_{norm[tensor] if rest else 'w'}"


DETECTRON2 = {k: f"bn_{k}" for k in ("running_mean", "running_var")} | {
    "weight": "bn_gamma",
    "bias": "bn_beta",
}
FOLDED = {"weight": "bn_s", "bias": "bn_b", "running_mean": "", "running_var": ""}


def test_caffe2_pickle(tmp_path):
    settings = _settings(tmp_path / "a.pkl")
    state = _random_state(settings)
    content = {_caffe2_name(k, DETECTRON2): v.numpy() for k, v in state.items()}
    content["fc1000_w"] = np.zeros((1000, 2048), np.float32)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol=2))
    trunk = _trunk(settings)
    load_imagenet_weights(trunk, settings)
    for key, tensor in trunk.state_dict().items():
        assert torch.equal(tensor, state[key]), key


def test_caffe2_pickle_with_folded_statistics(tmp_path):
    settings = _settings(tmp_path / "a.pkl")
    state = _random_state(settings)
    kept = {k: v for k, v in state.items() if "running" not in k}
    content = {"blobs": {_caffe2_name(k, FOLDED): v.numpy() for k, v in kept.items()}}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol=2))
    trunk = _trunk(settings)
    load_imagenet_weights(trunk, settings)
    norm = trunk.eval().res3[1].conv2.norm
    x = torch.randn(1, 128, 2, 2)
    affine = x * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), affine, rtol=1e-6, atol=1e-6)
    assert torch.equal(norm.bias, state["res3.1.conv2.norm.bias"])


def _torchvision_file(path: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    state = torchvision.models.resnet50().state_dict()
    torch.save(state, path)
    return state


def test_torchvision_file(tmp_path):
    state = _torchvision_file(tmp_path / "r50.pth")
    settings = _settings(tmp_path / "r50.pth", **RGB)
    trunk = _trunk(settings)
    load_imagenet_weights(trunk, settings)
    assert torch.equal(trunk.stem.conv1.weight, state["conv1.weight"])
    assert torch.equal(trunk.res5[2].conv3.weight, state["layer4.2.conv3.weight"])


def test_torchvision_file_needs_its_own_pixels(tmp_path):
    _torchvision_file(tmp_path / "r50.pth")
    settings = _settings(tmp_path / "r50.pth")
    with pytest.raises(
        UserError,
        match=r"channel_order: RGB, pixel_mean: \[123.675, .*pixel_std.*stride_in_1x1: false",
    ):
        load_imagenet_weights(NO_TRUNK, settings)


def test_caffe2_weights_need_their_own_stride(tmp_path):
    settings = _settings(tmp_path / "a.pkl", stride_in_1x1=False)
    content = {
        "conv1_w": np.zeros((64, 3, 7, 7), np.float32),
        "res2_0_branch2b_w": np.zeros((64, 64, 3, 3), np.float32),
    }
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"other settings in model.backbone: stride_in_1x1: true$"):
        load_imagenet_weights(NO_TRUNK, settings)


def test_caffe2_resnext_needs_its_own_pixels(tmp_path):
    content = {
        "conv1_w": np.zeros((64, 3, 7, 7), np.float32),
        "res2_0_branch2b_w": np.zeros((256, 8, 3, 3), np.float32),
    }
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    settings = _settings(tmp_path / "a.pkl", "resnext101_32x8d")
    with pytest.raises(
        UserError, match=r"pixel_std: \[57.375, 57.12, 58.395\], stride_in_1x1: false$"
    ):
        load_imagenet_weights(NO_TRUNK, settings)


def test_caffe2_resnext_64x4d_needs_its_own_pixels(tmp_path):
    content = {
        "conv1_w": np.zeros((64, 3, 7, 7), np.float32),
        "res2_0_branch2b_w": np.zeros((256, 4, 3, 3), np.float32),
    }
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    settings = _settings(tmp_path / "a.pkl", "resnext101_64x4d")
    told = r"pixel_mean: \[102.9801, 115.9465, 122.7717\], stride_in_1x1: false$"
    with pytest.raises(UserError, match=told):
        load_imagenet_weights(NO_TRUNK, settings)


def test_res5_in_the_head_of_a_detector_starts_from_the_trunks(tmp_path):
    state = _torchvision_file(tmp_path / "r50.pth")
    backbone = _settings(tmp_path / "r50.pth", **RGB)
    values = {"backbone": backbone.model_dump(), "features": "c4", "mask_head": {"kind": "res5"}}
    settings = ModelSettings.model_validate(values)
    model = build_mask_rcnn(settings, 3)
    load_trunk(model, settings)
    trunk, head = model.backbone.bottom_up, model.box_head
    assert torch.equal(trunk.res4[5].conv3.weight, state["layer3.5.conv3.weight"])
    assert torch.equal(head.res5[2].conv3.weight, state["layer4.2.conv3.weight"])
    assert torch.equal(head.res5[0].shortcut.norm.bias, state["layer4.0.downsample.1.bias"])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnet50", r"MSRA/R-50\.pkl"),
        ("resnext101_32x8d", r"X-101-32x8d\.pkl"),
        ("resnext101_64x4d", r"FBResNeXt/X-101-64x4d\.pkl"),
    ],
)
def test_missing_file_says_where_to_get_it(tmp_path, name, told):
    settings = _settings(tmp_path / "none.pkl", name)
    with pytest.raises(UserError, match=rf"none\.pkl: no such file; fetch it from https.*{told}"):
        load_imagenet_weights(NO_TRUNK, settings)


def test_weights_of_another_depth(tmp_path):
    _torchvision_file(tmp_path / "r50.pth")
    settings = _settings(tmp_path / "r50.pth", "resnet101", **RGB)
    with pytest.raises(UserError, match=r"does not fit backbone resnet101: \d+ missing \(res4"):
        load_imagenet_weights(_trunk(settings), settings)


def test_a_whole_detector_is_no_backbone(tmp_path):
    torch.save({"model": to_detectron2({"rpn.conv.weight": torch.zeros(1)})}, tmp_path / "a.pth")
    settings = _settings(tmp_path / "a.pth")
    with pytest.raises(UserError, match="is not an ImageNet backbone"):
        load_imagenet_weights(NO_TRUNK, settings)


@pytest.mark.parametrize("head", ["mask_rcnn", "pointrend"])
@pytest.mark.parametrize("trunk", ["r50", "r101", "x101"])
def test_variants_are_the_known_models(head, trunk):
    model = load_variant(f"{head}_{trunk}_fpn_3x", CONFIG_DIR).model
    backbone = model.backbone.model_copy(update={"weights": None})
    settings = model.model_copy(update={"backbone": backbone})
    assert settings == KNOWN_MODELS[f"{head}_{trunk}_fpn_coco"].model


@pytest.mark.parametrize(
    "more", ["fpn_inner_res5_2_sum_w", "conv_rpn_w", "cls_score_w", "_[mask]_fcn1_w", "retnet_x_w"]
)
def test_a_detector_of_detectron_is_no_imagenet_backbone(more, tmp_path):
    """Its trunk has the names of Caffe2's classifiers, and what comes after it would be left out.

    Names as in Detectron's lib/modeling: FPN.py, rpn_heads.py, fast_rcnn_heads.py,
    mask_rcnn_heads.py, retinanet_heads.py.
    """
    path = tmp_path / "model_final.pkl"
    blobs = {name: np.zeros((2, 2), np.float32) for name in ("conv1_w", more)}
    path.write_bytes(pickle.dumps({"blobs": blobs, "cfg": "MODEL: {}"}, protocol=2))
    told = r"model_final\.pkl: is a detector of Detectron \(2017\), which is not read"
    with pytest.raises(UserError, match=told):
        load_imagenet_weights(NO_TRUNK, _settings(path))
    with pytest.raises(UserError, match=told):
        load_known_model("mask_rcnn_r50_fpn_coco", path)


@pytest.mark.parametrize("prefix", ["backbone.", "_orig_mod.", "encoder_q."])
def test_a_resnet_whose_names_begin_otherwise_is_told_so(prefix, tmp_path):
    """As of mmpretrain, of compiled modules, and of MoCo."""
    path = tmp_path / "resnet50.pth"
    state = torchvision.models.resnet50().state_dict()
    torch.save({"state_dict": {f"{prefix}{name}": each for name, each in state.items()}}, path)
    told = (
        rf"resnet50\.pth: names of a ResNet that are not known here, since {prefix} stands before"
    )
    with pytest.raises(UserError, match=told) as error:
        load_imagenet_weights(NO_TRUNK, _settings(path))
    assert "\n" not in str(error.value)
