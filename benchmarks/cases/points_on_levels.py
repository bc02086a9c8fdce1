"""The first layer of the 3D-FUTURE report's point head in training: p2 to p6 at 576 points a box.

Forward and backward. Ours adds up one layer a map; the other side samples the maps in their own
layout, puts what a point sees in them side by side, 1,280 numbers, and applies the layer to that,
as published.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.inputs import FPN_CHANNELS, feature_map, random_boxes
from pointrend_repro.modeling.backbone import STRIDES
from pointrend_repro.modeling.levels import linear_at_points, sample_levels_in_graph
from pointrend_repro.tools.bench.case import Case, Size

_SIZES = {
    "full": {"side": 1216, "num_boxes": 60, "points": 24 * 24, "width": 256},
    "tiny": {"side": 64, "num_boxes": 2, "points": 9, "width": 4},
}
# Of the largest gradient.
MOST_DIFFERENT = 1e-4

Gradients = list[Tensor]


def make(size: Size, device: str) -> Case:
    asked = _SIZES[size]
    side, count = asked["side"], asked["num_boxes"]
    generator = torch.Generator().manual_seed(0)
    maps = {
        level: feature_map(-(-side // s), -(-side // s), generator)
        .to(device, memory_format=torch.channels_last)  # as our trunk hands them over
        .requires_grad_()
        for level, s in STRIDES.items()
    }
    weight = torch.randn(asked["width"], len(maps) * FPN_CHANNELS, generator=generator) / 36
    weight = weight.to(device).requires_grad_()
    boxes = [random_boxes(count, side, side, generator).to(device)]
    points = torch.rand(count, asked["points"], 2, generator=generator).to(device)

    def added_up() -> Tensor:
        return linear_at_points(maps, weight, points.shape[0] * points.shape[1])(points, boxes)

    def side_by_side() -> Tensor:
        seen = sample_levels_in_graph(maps, points, boxes)
        return F.linear(seen.transpose(1, 2), weight).flatten(0, 1)

    def training(layer: Callable[[], Tensor]) -> Callable[[], Gradients]:
        leaves = [weight, *maps.values()]
        return lambda: list(torch.autograd.grad(layer().square().mean(), leaves))

    return Case(
        settings=asked | {"levels": len(maps), "dtype": "float32"},
        sides={
            "ours": lambda: training(added_up),
            "side by side": lambda: training(side_by_side),
        },
        compare=compare,
    )


def compare(ours: Gradients, theirs: Gradients) -> dict[str, float]:
    errors = [
        ((a - b).abs().max() / b.abs().max()).item() for a, b in zip(ours, theirs, strict=True)
    ]
    assert max(errors) < MOST_DIFFERENT, f"gradients differ by {max(errors):.2%} of the largest"
    return {"largest_error": max(errors)}
