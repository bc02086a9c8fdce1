"""DeepMask's and SharpMask's networks against the paper's numbers and obvious implementations."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from pydantic import ValidationError
from small_deepmask import (
    AS_CODE,
    SMALL,
    VGG,
    make,
    on_meta,
    random_image,
)
from torch import nn
from torchvision.models import vgg

from pointrend_repro.checkpoints.torchvision_names import from_torchvision
from pointrend_repro.modeling.symmetric import pad_symmetric
from pointrend_repro.settings.deepmask import DeepMaskModelSettings


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_are_those_of_the_paper() -> None:
    ours = on_meta(refinement=AS_CODE)
    assert count(ours) - count(ours.refinement) == 17_333_121
    assert count(ours.backbone) == 8_512_704
    assert count(ours.refinement) == 2_750_535
    original = on_meta(
        backbone=VGG, patch_px=224, context_px=0, feature_channels=512, head="original"
    )
    assert count(original) == 75_844_545
    assert count(original.backbone) == 9_220_480
    assert count(original.score_head) == 13_371_905


def test_the_papers_refinement_has_less_than_three_million_parameters() -> None:
    # One vertical convolution and not the code's two, and 64 channels in the last module too.
    assert 2_700_000 < count(on_meta(refinement={}).refinement) < 3_000_000


@pytest.mark.parametrize(
    ("values", "kernel"),  # Table 1; "1024" of W160-P4-D8-VGG is a slip: VGG-A has 512 channels
    [
        ({"backbone": VGG, "patch_px": 224, "context_px": 0, "feature_channels": 512}, (512, 14)),
        ({"backbone": VGG, "patch_px": 160, "context_px": 0, "feature_channels": 512}, (512, 10)),
        ({"patch_px": 160, "feature_channels": 512}, (1024, 10)),
        ({"patch_px": 112, "feature_channels": 512}, (1024, 7)),
        ({"patch_px": 112, "backbone": {"pooling": 3}, "feature_channels": 128}, (512, 14)),
    ],
)
def test_the_windows_are_those_of_table_1(values: dict[str, Any], kernel: tuple[int, int]) -> None:
    model = on_meta(**values)
    channels, side = kernel
    assert model.bottleneck.reduce.in_channels == channels
    assert model.bottleneck.low_rank.weight.shape == (512, values["feature_channels"], side, side)
    side_px = values["patch_px"]
    maps = model.features(torch.empty(1, 3, side_px, side_px, device="meta"))
    assert maps[0].shape[1:] == (channels, side, side)
    assert [m.shape[-1] for m in maps] == [side * 2**i for i in range(len(maps))]
    assert maps[-1].shape[-1] == side_px // 2


@pytest.mark.parametrize("pooling", [3, 4])
def test_the_trunk_is_torchvisions_resnet_with_other_padding(pooling: int) -> None:
    theirs = torchvision.models.resnet50(weights=None).eval()
    model = make(backbone={"pooling": pooling, "padding": "zero"}, patch_px=64)
    named = from_torchvision(theirs.state_dict())
    own = model.backbone.bottom_up
    own.load_state_dict({name: named[name] for name in own.state_dict()})
    image = random_image(64, 96)
    with torch.no_grad():
        x = (image - model.backbone.pixel_mean) / model.backbone.pixel_std
        expected = [theirs.relu(theirs.bn1(theirs.conv1(x)))]
        x = theirs.maxpool(expected[0])
        for layer in (theirs.layer1, theirs.layer2, theirs.layer3)[: pooling - 1]:
            x = layer(x)
            expected.append(x)
        found = model.features(image)
    for ours, reference in zip(found, reversed(expected), strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-3, atol=1e-3)


def test_vggs_maps_are_those_before_the_poolings() -> None:
    theirs = vgg.make_layers(vgg.cfgs["A"])
    model = make(backbone=VGG, patch_px=32, context_px=0)
    model.backbone.bottom_up.features.load_state_dict(theirs[:-1].state_dict())
    image = random_image(32, 48)
    x = (image - model.backbone.pixel_mean) / model.backbone.pixel_std
    before_pooling = []
    with torch.no_grad():
        for layer in theirs:
            if isinstance(layer, nn.MaxPool2d):
                before_pooling.append(x)
            x = layer(x)
        found = model.features(image)
    for ours, reference in zip(found, before_pooling[:0:-1], strict=True):
        torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("reach", [1, 3])
def test_padding_mirrors_with_the_edge_and_is_constant_to_the_gradient(reach: int) -> None:
    maps = torch.randn(2, 3, 5, 4, requires_grad=True)
    padded = pad_symmetric(maps, reach)
    edges = ((0, 0), (0, 0), (reach, reach), (reach, reach))
    np.testing.assert_array_equal(
        padded.detach().numpy(), np.pad(maps.detach().numpy(), edges, mode="symmetric")
    )
    weights = torch.randn_like(padded)
    (padded * weights).sum().backward()
    inside = weights[:, :, reach:-reach, reach:-reach]
    torch.testing.assert_close(maps.grad, inside)


def test_all_padded_convolutions_of_a_resnet_are_padded_symmetrically() -> None:
    model = make(**SMALL, refinement={"k": 4, "skip_channels": [4]})
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert all(conv.padding == (0, 0) for conv in convs)
    # On a map of one colour no border can be seen, which zeros would show.
    with torch.no_grad():
        for maps in model.features(torch.full((1, 3, 96, 96), 200.0)):
            torch.testing.assert_close(maps, maps[:, :, :1, :1].expand_as(maps))


@pytest.mark.parametrize("head", ["original", "a", "b", "c"])
def test_each_place_of_the_window_gives_what_its_own_cells_give(head: str) -> None:
    model = make(**SMALL, head=head)
    last = torch.randn(1, 64, 7, 6)
    with torch.no_grad():
        reduced, vectors = model.bottleneck(last)
        scores = model.score_head(last, reduced, vectors)
        assert vectors.shape == (1, 12, 4, 3)
        assert scores.shape == (1, 4, 3)
        for y, x in itertools.product(range(4), range(3)):
            window = last[:, :, y : y + 4, x : x + 4]
            own_reduced, own = model.bottleneck(window)
            torch.testing.assert_close(own[..., 0, 0], vectors[..., y, x])
            score = model.score_head(window, own_reduced, own)[0, 0, 0]
            torch.testing.assert_close(score, scores[0, y, x])


def test_the_original_head_pools_and_then_connects_all_cells() -> None:
    model = make(**SMALL, head="original")
    head = model.score_head
    last = torch.randn(2, 64, 4, 4)
    with torch.no_grad():
        pooled = F.max_pool2d(last, 2).flatten(1)
        first = F.relu(F.linear(pooled, head.aggregate.weight.flatten(1), head.aggregate.bias))
        second = F.relu(F.linear(first, head.hidden.weight.flatten(1), head.hidden.bias))
        expected = F.linear(second, head.predict.weight.flatten(1), head.predict.bias)
        found = head(last, *model.bottleneck(last))
    torch.testing.assert_close(found.flatten(), expected.flatten())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"patch_px": 100}, "patch_px 100 must be a multiple of 16"),
        ({"context_px": 10}, "context_px 10 must be a multiple of 16"),
        ({"patch_px": 112, "head": "original"}, "a window of 7 cells, which is odd"),
        ({"backbone": {"name": "vgg11", "pooling": 3}}, "vgg11 has 4 poolings"),
        ({"refinement": {"skip_channels": [64, 64]}}, "has 2 numbers"),
    ],
)
def test_what_cannot_be_built_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DeepMaskModelSettings.model_validate(values)
