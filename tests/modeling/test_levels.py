"""PointRend on several levels: against concatenated features and layers, written plainly."""

import pytest
import torch
import torch.nn.functional as F
from mask_head_cases import (
    BOXES,
    CHANNELS,
    LABELS,
    NO_LABELS,
    NONE,
    NUM_CLASSES,
    mask_head,
    matched,
    pyramid,
    targets,
)
from pydantic import ValidationError
from torch import Tensor

from pointrend_repro.modeling.backbone import STRIDES
from pointrend_repro.modeling.levels import linear_at_points, sample_levels
from pointrend_repro.modeling.mask_heads.pointrend import PointRendHead
from pointrend_repro.settings.heads import PointRendHeadSettings
from pointrend_repro.settings.instances import InferenceSettings

ALL = ("p2", "p3", "p4", "p5", "p6")
SETTINGS = InferenceSettings(output_resolution=40, points_per_step=90)
# Small maps of which p6 covers more than the image: 3 cells of p5, 2 of p6.
SIZES = [{"height": 64, "width": 96}, {"height": 160, "width": 224}]


def deep_head(levels: tuple[str, ...] = ALL, **changes: object) -> PointRendHead:
    values: dict[str, object] = {
        "levels": levels,
        "coarse_resolution": 5,
        "coarse_conv_channels": 7,
        "coarse_layers": 3,
        "point_layers": 4,
    }
    return mask_head("pointrend", **values | changes)


def features_at(maps: dict[str, Tensor], levels: tuple[str, ...], points: Tensor) -> Tensor:
    """Concatenate what each point (R, P, 2) of `BOXES` sees: (R, C of all, P), point by point."""
    found = []
    for image, box, own in zip((0, 0, 0, 1), torch.cat(BOXES), points, strict=True):
        where = box[:2] + own * (box[2:] - box[:2])
        columns = []
        for level in levels:
            one = maps[level][image]
            extent = torch.tensor([one.shape[2], one.shape[1]]) * float(STRIDES[level])
            grid = (2 * where / extent - 1)[None, None]
            columns.append(F.grid_sample(one[None], grid, align_corners=False)[0, :, 0])
        found.append(torch.cat(columns))
    return torch.stack(found)


def published_coarse(head: PointRendHead, maps: dict[str, Tensor]) -> Tensor:
    layers, side = head.coarse_head, 2 * head.coarse_head.resolution
    centres = (torch.arange(side) + 0.5) / side
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    grid = torch.stack([x, y], -1).view(1, -1, 2).expand(4, -1, -1)
    seen = features_at(maps, head.settings.levels, grid).unflatten(2, (side, side))
    if layers.reduce_channels is not None:
        seen = F.relu(layers.reduce_channels(seen))
    hidden = F.relu(layers.reduce(seen)).flatten(1)
    for number in range(1, head.settings.coarse_layers + 1):
        hidden = F.relu(getattr(layers, f"fc{number}")(hidden))
    return layers.prediction(hidden).view(4, NUM_CLASSES, side // 2, side // 2)


def published_points(
    head: PointRendHead, maps: dict[str, Tensor], coarse: Tensor, points: Tensor
) -> Tensor:
    x = features_at(maps, head.settings.levels, points)
    at_points = F.grid_sample(coarse, 2 * points[:, :, None] - 1, align_corners=False)[..., 0]
    for layer in head.point_head.layers:
        x = F.relu(F.conv1d(torch.cat([x, at_points], 1), layer.weight, layer.bias))
    every = head.point_head.predictor(torch.cat([x, at_points], 1))
    return every[torch.arange(4), torch.cat(LABELS)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("levels", [("p2", "p3", "p4", "p5"), ALL, ("p3", "p6")])
@pytest.mark.parametrize("channels_last", [False, True])
def test_coarse_and_point_logits_are_those_of_the_published_layers(
    levels: tuple[str, ...], size: dict[str, int], channels_last: bool
) -> None:
    head, maps = deep_head(levels), pyramid(**size)
    if channels_last:
        maps = {k: m.contiguous(memory_format=torch.channels_last) for k, m in maps.items()}
    points = torch.rand(4, 30, 2, generator=torch.Generator().manual_seed(2))
    wanted = published_coarse(head, maps)
    coarse = head.coarse_head(maps, BOXES)
    torch.testing.assert_close(coarse, wanted, atol=1e-5, rtol=1e-4)
    _, predict = head.prepare(maps, BOXES, LABELS)
    got = predict(points)
    torch.testing.assert_close(
        got, published_points(head, maps, wanted, points), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("conv_channels", [None, 7, 5 * CHANNELS])
def test_gradients_are_those_of_the_published_layers(conv_channels: int | None) -> None:
    head, maps = deep_head(coarse_conv_channels=conv_channels), pyramid()
    leaves = [*(maps[level].requires_grad_() for level in ALL), *head.parameters()]
    points = torch.rand(4, 30, 2, generator=torch.Generator().manual_seed(2))
    coarse = published_coarse(head, maps)
    loss = coarse.square().sum() + published_points(head, maps, coarse, points).square().sum()
    wanted = torch.autograd.grad(loss, leaves)
    coarse = head.coarse_head(maps, BOXES)
    layer = head._fine_layer(maps, points.shape[0] * points.shape[1])
    logits = head._point_logits(layer, BOXES, torch.cat(LABELS), coarse)(points)
    got = torch.autograd.grad(coarse.square().sum() + logits.square().sum(), leaves)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("num_points", [1, 500, 10**6])
def test_a_sum_over_levels_is_the_layer_of_them_side_by_side(num_points: int) -> None:
    """All maps sampled first, some of them, and none."""
    maps = {level: pyramid()[level] for level in ALL}
    weight = torch.randn(6, 5 * CHANNELS, generator=torch.Generator().manual_seed(3))
    points = torch.rand(4, 9, 2, generator=torch.Generator().manual_seed(4))
    wanted = F.linear(sample_levels(maps, points, BOXES), weight)
    got = linear_at_points(maps, weight, num_points)(points, BOXES)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


def test_the_masks_of_a_graph_are_those_of_the_model() -> None:
    head, maps = deep_head(), pyramid()
    with torch.no_grad():
        wanted = head.predict(maps, BOXES, LABELS, SETTINGS)
        got = head._predict_in_graph(maps, BOXES, LABELS, SETTINGS)
    off = (got - wanted).abs() > 1e-4
    assert off.float().mean() < 1e-3  # two points may be equally uncertain up to rounding
    assert wanted.shape == (4, 40, 40)


def test_training_needs_no_boxes() -> None:
    """Each parameter gets a gradient all the same."""
    head = deep_head()
    for boxes, labels in ((BOXES, LABELS), ([NONE, NONE], [NO_LABELS, NO_LABELS])):
        head.zero_grad()
        losses = head.losses(pyramid(), matched(boxes, labels), targets())
        sum(losses.values()).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


# Facts of the report, section 2.3: coarse head and point head. Background counts as a class there.
SIZES_OF_HEADS = {
    "PointRend's own": ({}, 81, 18_226_305, 286_962),
    "report's": ({"levels": ALL, "coarse_resolution": 13}, 35, 52_006_171, 496_620),
    "wide points": (
        {"levels": ALL, "coarse_resolution": 13, "point_channels": 512},
        35,
        52_006_171,
        1_254_124,
    ),
    "enriched": (
        {
            "levels": ALL,
            "coarse_resolution": 13,
            "coarse_conv_channels": 512,
            "coarse_layers": 4,
            "point_channels": 512,
            "point_layers": 5,
        },
        35,
        99_522_331,
        1_815_276,
    ),
}


@pytest.mark.parametrize("name", SIZES_OF_HEADS)
def test_heads_have_the_report_s_numbers_of_parameters(name: str) -> None:
    changes, classes, coarse, points = SIZES_OF_HEADS[name]
    settings = PointRendHeadSettings.model_validate({"kind": "pointrend"} | changes)
    with torch.device("meta"):
        head = PointRendHead(256, classes, settings)
    parts = (head.coarse_head, head.point_head)
    assert [sum(p.numel() for p in part.parameters()) for part in parts] == [coarse, points]


@pytest.mark.parametrize("levels", [(), ("p3", "p2"), ("p2", "p2"), ("p7",)])
def test_levels_go_from_fine_to_coarse(levels: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="levels"):
        PointRendHeadSettings.model_validate({"kind": "pointrend", "levels": levels})
