"""Trunk and feature pyramid: sizes, padding, pixels and weights, against torchvision's ResNet."""

import re

import pytest
import torch
import torchvision
from torch import Tensor

from pointrend_repro.modeling.backbone import STRIDES, TRUNK_STRIDES, FPNBackbone
from pointrend_repro.modeling.resnet import ResNet
from pointrend_repro.settings.backbone import BackboneSettings


def backbone(**changes: object) -> FPNBackbone:
    torch.manual_seed(0)
    small = {"name": "resnet18_narrow", "norm": "gn", "freeze_at": 0, "fpn_channels": 8}
    return FPNBackbone(BackboneSettings.model_validate(small | changes))


def image(height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("sizes", "padded"),
    [
        ([(64, 96)], (64, 96)),
        ([(33, 64), (50, 40)], (64, 64)),
        ([(1, 1)], (32, 32)),
        ([(20, 320)], (32, 320)),
    ],
)
def test_maps_have_the_sizes_of_their_strides(
    sizes: list[tuple[int, int]], padded: tuple[int, int]
) -> None:
    features = backbone()([image(*size) for size in sizes])
    assert set(features) == {*STRIDES, *TRUNK_STRIDES}
    for name, stride in STRIDES.items():
        height, width = (-(-side // stride) for side in padded)
        assert features[name].shape == (len(sizes), 8, height, width)


def test_p6_is_every_second_cell_of_p5() -> None:
    features = backbone()([image(128, 160)])
    assert torch.equal(features["p6"], features["p5"][:, :, ::2, ::2])


def test_a_smaller_image_lies_in_the_upper_left_corner_of_mean_colour() -> None:
    model = backbone()
    small, large = image(40, 50, seed=1), image(64, 96, seed=2)
    padded = model.pixel_mean.flip(0).expand(3, 64, 96).clone()  # RGB; the settings say BGR
    padded[:, :40, :50] = small.float()
    together, by_hand = model([small, large]), model([padded, large])
    for name in STRIDES:
        torch.testing.assert_close(together[name], by_hand[name])


def test_channel_order_and_normalisation() -> None:
    mean, std = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)
    rgb = backbone(channel_order="RGB", pixel_mean=mean, pixel_std=std)
    bgr = backbone(channel_order="BGR", pixel_mean=mean[::-1], pixel_std=std[::-1])
    plain = backbone(channel_order="RGB", pixel_mean=(0, 0, 0), pixel_std=(1, 1, 1))
    picture = image(32, 32)
    normalised = (picture - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    wanted = plain([normalised])["p2"]
    torch.testing.assert_close(rgb([picture])["p2"], wanted)
    torch.testing.assert_close(bgr([picture])["p2"], plain([normalised.flip(0)])["p2"])
    assert not torch.allclose(bgr([picture])["p2"], wanted)


def test_neither_mean_nor_std_is_saved_as_a_weight() -> None:
    assert not [key for key in backbone().state_dict() if "pixel" in key]


@pytest.mark.parametrize(("freeze_at", "frozen"), [(0, set()), (2, {"stem", "res2"})])
def test_freezing(freeze_at: int, frozen: set[str]) -> None:
    model = backbone(freeze_at=freeze_at)
    sum(f.sum() for f in model([image(64, 64)]).values()).backward()
    for name, parameter in model.bottom_up.named_parameters():
        is_frozen = name.split(".")[0] in frozen
        assert parameter.requires_grad is not is_frozen, name
        assert (parameter.grad is None) is is_frozen, name


def to_our_names(key: str) -> str:
    """`layer1.0.bn2.weight` of torchvision is `res2.0.conv2.norm.weight` here."""
    key = re.sub(r"^layer(\d)", lambda match: f"res{int(match[1]) + 1}", key)
    key = re.sub(r"^(conv1|bn1)", r"stem.\1", key)
    key = key.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")
    return re.sub(r"bn(\d)", r"conv\1.norm", key)


def randomise_norms(model: torch.nn.Module) -> None:
    for name, buffer in model.state_dict().items():
        if "bn" in name or "downsample.1" in name:
            if name.endswith(("weight", "running_var")):
                buffer.uniform_(0.5, 1.0)
            elif name.endswith(("bias", "running_mean")):
                buffer.normal_(std=0.1)


def our_weights(reference: torch.nn.Module) -> dict[str, Tensor]:
    state = reference.state_dict().items()
    return {to_our_names(k): v for k, v in state if not k.endswith("num_batches_tracked")}


def test_resnet50_is_torchvision_s() -> None:
    torch.manual_seed(0)
    reference = torchvision.models.resnet50(weights=None).eval()
    randomise_norms(reference)
    reference.fc = torch.nn.Identity()
    ours = ResNet("resnet50", norm="frozen_bn", stride_in_1x1=False, freeze_at=2).eval()
    ours.load_state_dict(our_weights(reference))
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        features = ours(x)
        y = reference.maxpool(reference.relu(reference.bn1(reference.conv1(x))))
        for stage, name in enumerate(("res2", "res3", "res4", "res5"), start=1):
            y = getattr(reference, f"layer{stage}")(y)
            torch.testing.assert_close(features[name], y, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("stride_in_1x1", [True, False])
def test_where_the_stride_is(stride_in_1x1: bool) -> None:
    trunk = ResNet("resnet50", norm="frozen_bn", stride_in_1x1=stride_in_1x1, freeze_at=0)
    for stage in (trunk.res3, trunk.res4, trunk.res5):
        first, *others = stage
        assert first.conv1.stride == ((2, 2) if stride_in_1x1 else (1, 1))
        assert first.conv2.stride == ((1, 1) if stride_in_1x1 else (2, 2))
        assert all(b.conv1.stride == b.conv2.stride == (1, 1) for b in others)
