"""Res2Net v1b with its weights renamed is our trunk: same names, same features."""

from pathlib import Path

import pytest
import torch
from res2net_as_published import random_tensors, stages

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.imagenet import load_imagenet_weights
from pointrend_repro.checkpoints.torchvision_names import from_torchvision
from pointrend_repro.modeling.resnet import TRUNKS, ResNet
from pointrend_repro.settings.backbone import BackboneSettings

NARROW = TRUNKS["res2net50_narrow"]
RGB = {
    "channel_order": "RGB",
    "pixel_mean": (123.675, 116.280, 103.530),
    "pixel_std": (58.395, 57.120, 57.375),
    "stride_in_1x1": False,
}


def narrow(**changes: object) -> ResNet:
    values = {"norm": "frozen_bn", "stride_in_1x1": False, "freeze_at": 0}
    return ResNet("res2net50_narrow", **(values | changes)).eval()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return random_tensors(NARROW.group_width, NARROW.stem_channels, NARROW.blocks)


@pytest.mark.parametrize("size", [(64, 96), (50, 70)])
def test_features_are_the_authors(
    published: dict[str, torch.Tensor], size: tuple[int, int]
) -> None:
    trunk = narrow()
    trunk.load_state_dict(from_torchvision(published))
    image = torch.randn(1, 3, *size)
    with torch.no_grad():
        ours = trunk(image)
    for wanted, map_ in zip(stages(published, image, NARROW.blocks), ours.values(), strict=True):
        torch.testing.assert_close(map_, wanted, rtol=1e-4, atol=1e-4)


def test_the_names_of_the_whole_file_are_those_of_our_trunk() -> None:
    """Of res2net101_v1b_26w_4s-0812c246.pth: base width 26, 4 scales, 3 + 4 + 23 + 3 blocks."""
    with torch.device("meta"):
        theirs = random_tensors(26, 64, (3, 4, 23, 3))
        trunk = ResNet("res2net101", norm="frozen_bn", stride_in_1x1=False, freeze_at=2)
    ours = {name: t.shape for name, t in trunk.state_dict().items()}
    assert {name: t.shape for name, t in from_torchvision(theirs).items()} == ours


def test_mmdetections_stem_is_one_sequential(published: dict[str, torch.Tensor]) -> None:
    """Since mmdetection 2 (res2net.py, `deep_stem`): stem.0, .1, .3, .4, .6 and .7."""
    places = {"conv1.": "stem.", "bn1.": "stem.7."}
    theirs = {
        next((new + n[len(old) :] for old, new in places.items() if n.startswith(old)), n): t
        for n, t in published.items()
    }
    assert "stem.0.weight" in theirs
    assert from_torchvision(theirs) == from_torchvision(published)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_training_starts_from_it_with_parts_that_it_lacks(
    tmp_path: Path, published: dict[str, torch.Tensor], wrapped: bool
) -> None:
    path = tmp_path / "res2net.pth"
    torch.save({"state_dict": published} if wrapped else published, path)
    trunk = narrow(deformable=True, context_ratio=0.25, norm="fixed_statistics_bn")
    settings = BackboneSettings(name="res2net50_narrow", weights=str(path), **RGB)
    load_imagenet_weights(trunk, settings)
    image = torch.randn(1, 3, 64, 64)
    last = stages(published, image, NARROW.blocks)[-1]
    torch.testing.assert_close(trunk(image)["res5"], last, rtol=1e-3, atol=1e-3)
    with pytest.raises(UserError, match=r"need other settings in model\.backbone: .*RGB"):
        load_imagenet_weights(trunk, BackboneSettings(name="res2net50_narrow", weights=str(path)))
    missing = {n: t for n, t in published.items() if n != "layer2.0.convs.1.weight"}
    torch.save(missing, path)
    with pytest.raises(UserError, match=r"1 missing \(res3\.0\.convs\.1\.weight\)"):
        load_imagenet_weights(trunk, settings)


def test_parts_that_detectors_have_are_renamed() -> None:
    """mmdetection 1.1: ops/dcn/deform_conv.py, ops/context_block.py."""
    names = {
        "layer2.0.conv2.conv_offset.weight": "res3.0.conv2.offset.weight",
        "layer2.0.conv2_offset.bias": "res3.0.conv2.offset.bias",
        "layer4.2.convs.1.conv_offset.weight": "res5.2.convs.1.offset.weight",
        "layer3.1.context_block.conv_mask.weight": "res4.1.context.attention.weight",
        "layer3.1.context_block.channel_add_conv.0.bias": "res4.1.context.squeeze.bias",
        "layer3.1.context_block.channel_add_conv.1.weight": "res4.1.context.norm.weight",
        "layer3.1.context_block.channel_add_conv.3.weight": "res4.1.context.expand.weight",
    }
    found = from_torchvision({name: name for name in names})
    assert found == {ours: theirs for theirs, ours in names.items()}
    with torch.device("meta"):
        trunk = ResNet(
            "resnet50", norm="bn", stride_in_1x1=False, freeze_at=0,
            deformable=True, context_ratio=1 / 16,
        )  # fmt: skip
    assert {n for n in names.values() if ".convs." not in n} <= {*trunk.state_dict()}
