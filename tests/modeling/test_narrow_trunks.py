"""The narrow trunks are those of the paper's models, at a quarter of their width."""

import pytest
import torch
from torch import nn

from pointrend_repro.modeling.resnet import TRUNKS, ResNet


def layers_of(name: str) -> int:
    """Count convolutions on the longest way, and the classifier that a ResNet's name counts."""
    trunk = ResNet(name, norm="gn", stride_in_1x1=False, freeze_at=0)
    convolutions = [n for n, m in trunk.named_modules() if isinstance(m, nn.Conv2d)]
    return len([name for name in convolutions if "shortcut" not in name]) + 1


@pytest.mark.parametrize(
    ("name", "layers"),
    [("resnet18_narrow", 18), ("resnet50_narrow", 50), ("resnext50_narrow", 50)],
)
def test_they_are_as_deep_as_their_names_say(name: str, layers: int) -> None:
    assert layers_of(name) == layers


def test_narrow_bottlenecks_are_a_quarter_of_those_of_resnet50() -> None:
    wide, narrow = TRUNKS["resnet50"], TRUNKS["resnet50_narrow"]
    assert [4 * c for c in narrow.channels] == list(wide.channels)
    assert 4 * narrow.group_width == wide.group_width
    assert narrow.blocks == wide.blocks
    grouped = ResNet("resnext50_narrow", norm="gn", stride_in_1x1=False, freeze_at=0)
    assert grouped.res2[0].conv2.groups == 8
    assert grouped.res5[0].conv2.out_channels == 8 * 4 * 8


@pytest.mark.parametrize("name", ["resnet50_narrow", "resnext50_narrow"])
def test_their_maps_have_the_strides_and_channels_of_a_pyramid(name: str) -> None:
    trunk = ResNet(name, norm="gn", stride_in_1x1=False, freeze_at=0)
    maps = trunk(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps.values()] == [
        (64, 16, 24), (128, 8, 12), (256, 4, 6), (512, 2, 3),
    ]  # fmt: skip
