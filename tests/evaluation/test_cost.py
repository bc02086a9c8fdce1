"""The counts of Table 2, against arithmetic by hand and the paper's printed digits."""

import re
from itertools import pairwise

import pytest
import torch
from torch import nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.reading import load_table, load_variant
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.evaluation.cost import _count, mask_head_cost
from pointrend_repro.settings.heads import Conv4HeadSettings, MlpMaskSettings, NoMaskSettings
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings

CLASSES = 80


def count(variant, **inference):
    return mask_head_cost(load_variant(variant).model, InferenceSettings(**inference))


def conv4_by_hand(roi_side):
    """Four 3x3 convolutions, a 2x2 deconvolution of stride 2 and a 1x1 convolution, 256 wide."""
    cells, mask_cells = roi_side**2, (2 * roi_side) ** 2
    multiply_adds = 4 * cells * 256 * 256 * 9 + mask_cells * 256 * 256 + mask_cells * 256 * CLASSES
    roi_features = cells * 256
    activations = roi_features + 4 * cells * 256 + mask_cells * 256 + mask_cells * CLASSES
    peak = max(cells * 2 * 256, cells * 256 + mask_cells * 256, mask_cells * (256 + CLASSES))
    return {
        "multiply_adds": multiply_adds / 1e9,
        "activations": activations / 1e6,
        "activations_summed": activations / 1e6,
        "activations_peak": peak / 1e6,
    }


@pytest.mark.parametrize(
    ("variant", "roi_side"),
    [("mask_rcnn_r50_fpn", 14), ("mask_rcnn_56_r50_fpn", 28), ("mask_rcnn_224_r50_fpn", 112)],
)
def test_the_4x_conv_head_costs_what_its_layers_cost(variant, roi_side):
    assert count(variant) == pytest.approx(conv4_by_hand(roi_side))


def pointrend_by_hand(points_of_steps):
    coarse = 49 * 256 * 256 * 4 + 49 * 256 * 1024 + 1024 * 1024 + 1024 * CLASSES * 49
    per_point = 3 * (256 + CLASSES) * 256 + (256 + CLASSES) * CLASSES
    coarse_activations = 49 * 256 + 1024 + 1024 + CLASSES * 49
    of_a_point = 3 * 256 + CLASSES
    # A layer of the MLP takes 256 features and the coarse logits; that of most is hidden to hidden.
    # Of the coarse head, the 2x2 convolution of stride 2 on 14x14 cells.
    peak = max(max(points_of_steps) * (256 + CLASSES + 256), 14 * 14 * 256 + 49 * 256)
    return {
        "multiply_adds": (coarse + sum(points_of_steps) * per_point) / 1e9,
        "activations": (coarse_activations + max(points_of_steps) * of_a_point) / 1e6,
        "activations_summed": (coarse_activations + sum(points_of_steps) * of_a_point) / 1e6,
        "activations_peak": peak / 1e6,
    }


@pytest.mark.parametrize(
    ("inference", "points_of_steps"),
    [
        ({"output_resolution": 28}, [784]),
        ({"output_resolution": 224}, [784] * 4),
        ({"output_resolution": 224, "points_per_step": 196}, [196] * 5),
        ({"output_resolution": 224, "points_per_step": 1000}, [784, 1000, 1000, 1000]),
    ],
)
def test_pointrend_costs_its_points_and_its_coarse_head(inference, points_of_steps):
    cost = count("pointrend_r50_fpn", **inference)
    assert cost == pytest.approx(pointrend_by_hand(points_of_steps))


def test_table_2_says_what_steps_that_are_left_out_would_cost():
    caption = load_table("table2").caption
    left_out, said = re.search(r"\(([^)]*), which .* would give (\S+)B", caption).groups()
    sides = [int(side) for side in re.findall(r"(\d+)x\1", left_out)]
    points = [side**2 for side in sides] + [784] * 4
    assert f"{pointrend_by_hand(points)['multiply_adds']:.2f}" == said


def test_larger_heads_cost_what_their_layers_cost():
    """The report's: p2 to p6, 26x26 points in four layers, five point layers, 13 to 416."""
    seen, grid, conv, wide, cells = 5 * 256, 26 * 26, 512, 512, 13 * 13
    model = load_variant("pointrend_r50_fpn").model
    head = model.mask_head.model_copy(
        update={
            "levels": ("p2", "p3", "p4", "p5", "p6"),
            "coarse_resolution": 13,
            "coarse_conv_channels": conv,
            "coarse_layers": 4,
            "point_channels": wide,
            "point_layers": 5,
        }
    )
    cost = mask_head_cost(
        model.model_copy(update={"mask_head": head}),
        InferenceSettings(output_resolution=416, points_per_step=4900),
    )
    coarse = grid * seen * conv + cells * conv * conv * 4
    coarse += cells * conv * 1024 + 3 * 1024 * 1024 + 1024 * CLASSES * cells
    per_point = (seen + CLASSES) * wide + 4 * (wide + CLASSES) * wide + (wide + CLASSES) * CLASSES
    points = 52 * 52 + 3 * 4900
    assert cost["multiply_adds"] == pytest.approx((coarse + points * per_point) / 1e9)
    activations = grid * conv + cells * conv + 4 * 1024 + CLASSES * cells
    of_a_point = 5 * wide + CLASSES
    assert cost["activations"] == pytest.approx((activations + 4900 * of_a_point) / 1e6)
    assert cost["activations_summed"] == pytest.approx((activations + points * of_a_point) / 1e6)


def test_every_count_of_table_2_rounds_to_the_papers_digits():
    table = load_table("table2")
    compared = 0
    for row in table.rows.values():
        variant = load_variant(row.variant)
        cost = mask_head_cost(variant.model, variant.inference[row.inference])
        assert not row.paper or list(row.paper) == ["flops", "activations"]
        for name, printed in row.paper.items():
            decimals = 0 if isinstance(printed, int) else 1
            assert round(cost[table.columns[name].value], decimals) == printed, (row.title, name)
            compared += 1
    assert compared == 6


def test_how_much_cheaper_pointrend_is_than_the_4x_conv_head_at_224():
    """Section 4.1: "more than 30 times less compute (FLOPs) and memory".

    32.9M against 0.68M as Table 2 counts, but against 2.68M with all steps counted as all layers.
    """
    ours, plain = count("pointrend_r50_fpn"), count("mask_rcnn_224_r50_fpn")
    times = {key: round(plain[key] / ours[key], 1) for key in ours}
    assert times == {
        "multiply_adds": 36.7,
        "activations": 48.2,
        "activations_summed": 12.3,
        "activations_peak": 36.3,
    }
    assert list(ours) == list(METRICS.find("mask_head_cost").keys)


@pytest.mark.parametrize(
    ("product", "weights_too"),
    [
        (lambda x, w: nn.functional.linear(x, w), False),
        (lambda x, w: nn.functional.conv1d(x.T[None], w[:, :, None]), False),
        (lambda x, w: torch.addmm(torch.zeros(5), x, w.T), False),
        (lambda x, w: x @ w.T, True),
        (lambda x, w: torch.bmm(x[None], w.T[None]), True),
        (lambda x, w: torch.einsum("nc,kc->nk", x, w), True),
    ],
)
def test_a_layer_in_any_form_reads_and_writes(product, weights_too):
    """As heads from outside this package may write one: 7 rows of 3 numbers to 7 rows of 5."""
    weight = torch.ones(5, 3)
    cost = _count(nn.Module(), lambda x: product(x, weight), torch.zeros(7, 3))
    assert (cost.multiply_adds, cost.activations) == (7 * 3 * 5, 7 * 5)
    assert cost.activations_peak == 7 * 3 + 7 * 5 + (3 * 5 if weights_too else 0)


def test_the_sharpmask_style_head_costs_what_its_layers_cost():
    bottleneck = 49 * 256 * 128 + 49 * 128 * 512 + 512 * 49 * 32
    modules = sum(2 * (7 * 2**i) ** 2 * (32 // 2**i) * (16 // 2**i) * 9 for i in range(4))
    last = 112**2 * 2 * 9
    cost = count("sharpmask_r50_fpn")
    assert cost["multiply_adds"] == pytest.approx((bottleneck + modules + last) / 1e9)
    crops = 49 * 256 + sum((7 * 2**i) ** 2 * (32 // 2**i) for i in range(4))
    outputs = 49 * 128 + 512 + 49 * 32 + 112**2
    outputs += sum(2 * (7 * 2**i) ** 2 * (16 // 2**i) for i in range(4))
    assert cost["activations"] == pytest.approx((crops + outputs) / 1e6)
    assert cost["activations_summed"] == cost["activations"]
    # The last layer: 2 maps of 112x112 in, one out; or that on the RoI features, or the last skip.
    largest = max(112**2 * 3, 49 * (256 + 128), 56**2 * (4 + 2))
    assert cost["activations_peak"] == pytest.approx(largest / 1e6)


def test_fully_connected_heads_cost_what_their_layers_cost():
    sizes = [256 * 14 * 14, 1024, 1024, 1024, CLASSES * 28**2]
    model = load_variant("mask_rcnn_r50_fpn").model
    head = MlpMaskSettings(kind="mlp", hidden_layers=3)
    cost = mask_head_cost(model.model_copy(update={"mask_head": head}), InferenceSettings())
    pairs = list(pairwise(sizes))
    assert cost["multiply_adds"] == pytest.approx(sum(a * b for a, b in pairs) / 1e9)
    assert cost["activations"] == pytest.approx(sum(sizes) / 1e6)
    assert cost["activations_peak"] == pytest.approx(max(a + b for a, b in pairs) / 1e6)


def test_the_4x_conv_head_costs_less_for_one_class_and_more_with_background():
    model = load_variant("mask_rcnn_r50_fpn").model
    for changed, channels in (({"class_agnostic": True}, 1), ({"mask_loss": "softmax"}, 81)):
        head = Conv4HeadSettings(kind="4conv", **changed)
        cost = mask_head_cost(model.model_copy(update={"mask_head": head}), InferenceSettings())
        more = 28**2 * 256 * (channels - CLASSES) / 1e9
        assert cost["multiply_adds"] == pytest.approx(conv4_by_hand(14)["multiply_adds"] + more)


def test_a_model_without_masks_has_no_mask_head_to_count():
    model = load_variant("mask_rcnn_r50_fpn").model
    boxes = model.model_copy(update={"mask_head": NoMaskSettings(kind="none")})
    with pytest.raises(UserError, match="no mask head"):
        mask_head_cost(boxes, InferenceSettings())


@pytest.mark.parametrize(("res5_stride", "cells"), [(1, 49), (2, 196)])
def test_the_res5_head_costs_what_res5_and_its_layers_cost(res5_stride: int, cells: int) -> None:
    values = {
        "backbone": {"name": "resnet50"},
        "features": "c4",
        "detector": {"res5_stride": res5_stride},
        "mask_head": {"kind": "res5"},
    }
    found = mask_head_cost(ModelSettings.model_validate(values), InferenceSettings())
    # The stride of MSRA's ResNets is in the first convolution of 1x1.
    first = 1024 * 512 + 512 * 512 * 9 + 512 * 2048 + 1024 * 2048
    others = 2 * (2048 * 512 + 512 * 512 * 9 + 512 * 2048)
    branch = 2048 * 256 * 4 + 4 * 256 * CLASSES
    assert found["multiply_adds"] == pytest.approx(49 * (first + others + branch) / 1e9)
    layers = 49 * (3 * (512 + 512 + 2048) + 2048) + 196 * (256 + CLASSES)
    assert found["activations"] == pytest.approx((cells * 1024 + layers) / 1e6)
