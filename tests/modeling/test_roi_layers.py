"""RoI layers against loops over cells and samples, and what quantising boxes does (Table 2c)."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from pointrend_repro.modeling.pooling import build_roi_layer, pool_rois
from pointrend_repro.modeling.roi_operations import cells_of_roi_pool, roi_operation
from pointrend_repro.settings.instances import RoiLayerSettings

HEIGHT, WIDTH, STRIDE = 9, 11, 16
ROI_POOL = {"kind": "roi_pool", "aggregation": "max"}
ALIGN_MAX = {"kind": "roi_align", "aggregation": "max", "sampling_ratio": 2}
THREE_MAX = ALIGN_MAX | {"sampling_ratio": 3}
ALIGN = {"kind": "roi_align", "aggregation": "average", "sampling_ratio": 2}
WARP_MAX = {"kind": "roi_warp", "aggregation": "max", "sampling_ratio": 2}
WARP = {"kind": "roi_warp", "aggregation": "average", "sampling_ratio": 2}
ADAPTIVE = {"kind": "roi_align", "aggregation": "average", "sampling_ratio": 0}
ADAPTIVE_WARP = {"kind": "roi_warp", "aggregation": "average", "sampling_ratio": 0}


def crop(layer: dict[str, object], feature: Tensor, rois: Tensor, side: int) -> Tensor:
    return roi_operation(RoiLayerSettings.model_validate(layer))(feature, rois, side, STRIDE)


def bilinear(plane: Tensor, y: float, x: float) -> float:
    """Cell i has its value at i + 0.5; beyond the edge, its value; a cell further, nothing."""
    y, x = y - 0.5, x - 0.5
    if not (-1 <= y <= HEIGHT and -1 <= x <= WIDTH):
        return 0.0
    y, x = min(max(y, 0), HEIGHT - 1), min(max(x, 0), WIDTH - 1)
    total = 0.0
    for row in {math.floor(y), math.ceil(y)}:
        for column in {math.floor(x), math.ceil(x)}:
            weight = (1 - abs(y - row)) * (1 - abs(x - column))
            total += weight * plane[row, column].item()
    return total


def half_away(value: float) -> int:
    return math.floor(value + 0.5) if value >= 0 else math.ceil(value - 0.5)


def slow_samples(plane: Tensor, box: list[float], side: int, layer: dict[str, object]) -> Tensor:
    x1, y1, x2, y2 = box
    bin_x, bin_y = (x2 - x1) / side, (y2 - y1) / side
    ratio = int(str(layer["sampling_ratio"]))
    across, down = ratio or max(math.ceil(bin_x), 1), ratio or max(math.ceil(bin_y), 1)
    out = torch.empty(side, side, dtype=torch.double)
    for i in range(side):
        for j in range(side):
            values = [
                bilinear(
                    plane,
                    y1 + (i + (a + 0.5) / down) * bin_y,
                    x1 + (j + (b + 0.5) / across) * bin_x,
                )
                for a in range(down)
                for b in range(across)
            ]
            largest = layer["aggregation"] == "max"
            out[i, j] = max(values) if largest else sum(values) / len(values)
    return out


def slow_pool(plane: Tensor, box: list[float], side: int) -> Tensor:
    """RoIPool as Fast R-CNN's Caffe layer has it."""
    x1, y1, x2, y2 = (half_away(v) for v in box)
    width, height = max(x2 - x1 + 1, 1), max(y2 - y1 + 1, 1)
    out = torch.zeros(side, side, dtype=torch.double)
    for i in range(side):
        for j in range(side):
            rows = range(
                max(y1 + math.floor(i * height / side), 0),
                min(y1 + math.ceil((i + 1) * height / side), HEIGHT),
            )
            columns = range(
                max(x1 + math.floor(j * width / side), 0),
                min(x1 + math.ceil((j + 1) * width / side), WIDTH),
            )
            cells = [plane[r, c].item() for r in rows for c in columns]
            out[i, j] = max(cells) if cells else 0.0
    return out


def slow(layer: dict[str, object], plane: Tensor, box_px: list[float], side: int) -> Tensor:
    box = [v / STRIDE for v in box_px]
    if layer["kind"] == "roi_pool":
        return slow_pool(plane, box, side)
    if layer["kind"] == "roi_warp":
        x1, y1, x2, y2 = (half_away(v) for v in box)
        box = [x1, y1, max(x1, x2) + 1, max(y1, y2) + 1]
    return slow_samples(plane, box, side, layer)


@settings(max_examples=60, deadline=None)
@given(
    layer=st.sampled_from(
        [ROI_POOL, ALIGN_MAX, ALIGN, WARP_MAX, WARP, ADAPTIVE, ADAPTIVE_WARP, THREE_MAX]
    ),
    seed=st.integers(0, 999),
    side=st.sampled_from([1, 2, 5]),
    # In half cells, too, which is where rounding decides.
    unit=st.sampled_from([1.0, 8.0, 0.37]),
)
def test_layers_are_their_definitions(
    *, layer: dict[str, object], seed: int, side: int, unit: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, 2, HEIGHT, WIDTH, generator=generator, dtype=torch.double)
    extent = torch.tensor([WIDTH, HEIGHT]) * STRIDE
    corners = (torch.rand(3, 2, 2, generator=generator) * 1.2 - 0.1) * extent
    boxes = (torch.cat([corners.amin(1), corners.amax(1)], dim=1) / unit).round().double() * unit
    rois = torch.cat([torch.tensor([[0.0], [1], [0]]).double(), boxes], dim=1)
    got = crop(layer, maps, rois, side)
    for one, roi in zip(got, rois, strict=True):
        planes = maps[int(roi[0])]
        wanted = torch.stack([slow(layer, p, roi[1:].tolist(), side) for p in planes])
        torch.testing.assert_close(one, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(0.49999997, 0), (0.5, 1), (1.5, 2), (2.5, 3), (-0.5, -1), (-0.2, 0), (-1.5, -2), (7.0, 7)],
)
def test_corners_are_rounded_as_c_rounds(value: float, rounded: int) -> None:
    rois = torch.tensor([[1.0, value * 16, 3 * 16, 7.4 * 16, value * 16]])
    assert cells_of_roi_pool(rois, 16).tolist() == [[1, rounded, 3, 8, max(rounded, 3) + 1]]


@pytest.mark.parametrize("layer", [WARP | {"sampling_ratio": 1}, WARP_MAX | {"sampling_ratio": 1}])
def test_roi_warp_takes_the_cells_that_roi_pool_takes(layer: dict[str, object]) -> None:
    """With a bin for each cell and one sample in it, both return the cells themselves."""
    feature = torch.arange(HEIGHT * WIDTH).double().view(1, 1, HEIGHT, WIDTH)
    rois = torch.tensor([[0.0, 2.4 * 16, 1.6 * 16, 5.4 * 16, 4.9 * 16]]).double()
    warped, pooled = crop(layer, feature, rois, 4), crop(ROI_POOL, feature, rois, 4)
    assert torch.equal(warped, feature[..., 2:6, 2:6])
    assert torch.equal(pooled, feature[..., 2:6, 2:6])


ALIGNED = [ALIGN, ALIGN_MAX, ADAPTIVE]
QUANTISED = [ROI_POOL, WARP, WARP_MAX]


def outputs_along_a_shift(layer: dict[str, object], start_px: float, steps: int) -> Tensor:
    """Crop a ramp, whose value is its x in pixels, with a box that moves one cell to the right."""
    centres = (torch.arange(WIDTH) + 0.5).double() * STRIDE
    ramp = centres.expand(1, 1, HEIGHT, WIDTH)
    left = start_px + torch.arange(steps + 1).double() * STRIDE / steps
    top = torch.full_like(left, 20.0)
    rois = torch.stack([torch.zeros_like(left), left, top, left + 70.3, top + 60.0], dim=1)
    return crop(layer, ramp, rois, 4)[:, 0, 1, 1]


@settings(max_examples=25, deadline=None)
@given(start_px=st.floats(16, 60), layer=st.sampled_from(ALIGNED))
def test_roi_align_follows_a_shift_smoothly(*, start_px: float, layer: dict[str, object]) -> None:
    """Each 16th of a cell by which the box moves, its features move by that much."""
    steps = outputs_along_a_shift(layer, start_px, 16).diff()
    torch.testing.assert_close(steps, torch.ones(16).double())


@settings(max_examples=25, deadline=None)
@given(start_px=st.floats(16, 60), layer=st.sampled_from(QUANTISED))
def test_quantised_layers_ignore_a_shift_and_then_jump(
    *, start_px: float, layer: dict[str, object]
) -> None:
    """Of 16 steps at most two change anything, when a corner passes half a cell; these add up to
    the whole cell, so one of them is off by at least half of it."""
    moved = outputs_along_a_shift(layer, start_px, 16)
    steps = moved.diff()
    assert int((steps.abs() > 1e-9).sum()) <= 2
    assert steps.abs().max() >= STRIDE / 2
    assert (moved[-1] - moved[0]).item() == pytest.approx(STRIDE)


@pytest.mark.parametrize("layer", [ROI_POOL, ALIGN_MAX, ALIGN, WARP_MAX, WARP, ADAPTIVE_WARP])
def test_every_layer_crops_from_one_map_or_a_pyramid_and_trains_it(
    layer: dict[str, object],
) -> None:
    settings = RoiLayerSettings.model_validate(layer)
    boxes = [torch.tensor([[0.0, 0, 90, 70]]), torch.tensor([[8.0, 8, 30, 30], [0, 0, 500, 400]])]
    pyramid = {f"p{k}": torch.randn(2, 3, 512 >> k, 512 >> k) for k in range(2, 7)}
    for strides in ({"p4": 16}, {"p2": 4, "p3": 8, "p4": 16, "p5": 32}, {"p3": 8, "p4": 16}):
        features = {k: v.clone().requires_grad_() for k, v in pyramid.items()}
        pooled = build_roi_layer(settings, strides)(features, boxes, 7)
        assert pooled.shape == (3, 3, 7, 7)
        pooled.sum().backward()
        assert {k for k, v in features.items() if v.grad is not None} == set(strides)
        if len(strides) == 1:
            rois = torch.tensor([[0.0, 0, 0, 90, 70], [1, 8, 8, 30, 30], [1, 0, 0, 500, 400]])
            torch.testing.assert_close(pooled, roi_operation(settings)(pyramid["p4"], rois, 7, 16))
        none = build_roi_layer(settings, strides)(features, [torch.zeros(0, 4)] * 2, 7)
        assert none.shape == (0, 3, 7, 7)


def test_the_layer_of_the_defaults_is_pool_rois() -> None:
    strides = {"p2": 4, "p3": 8, "p4": 16, "p5": 32}
    features = {name: torch.randn(1, 4, 512 // s, 512 // s) for name, s in strides.items()}
    boxes = [torch.tensor([[3.0, 4, 60, 51], [10, 10, 400, 300], [50, 60, 250, 210]])]
    wanted = pool_rois(features, boxes, 7)
    assert torch.equal(build_roi_layer(RoiLayerSettings(), strides)(features, boxes, 7), wanted)


@pytest.mark.parametrize(
    ("layer", "problem"),
    [
        ({"kind": "roi_pool"}, "needs aggregation: max"),
        (ROI_POOL | {"sampling_ratio": 2}, "takes no samples"),
        ({"kind": "roi_align", "aggregation": "max"}, "needs a fixed number of samples"),
        ({"kind": "roi_warp", "aggregation": "max"}, "needs a fixed number of samples"),
        ({"kind": "roi_align", "sampling_ratio": -1}, "greater than or equal to 0"),
    ],
)
def test_settings_that_are_no_layer_are_refused(layer: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        RoiLayerSettings.model_validate(layer)
