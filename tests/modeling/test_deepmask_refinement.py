"""SharpMask's refinement against the text of the paper."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_deepmask import SMALL, make, random_features
from torch import Tensor

from pointrend_repro.modeling.deepmask.model import DeepMask
from pointrend_repro.modeling.deepmask.refinement import widths
from pointrend_repro.settings.deepmask import RefinementSettings


def test_widths_follow_the_schedules() -> None:
    assert widths(RefinementSettings(), 4) == [32, 16, 8, 4, 2]
    assert widths(RefinementSettings(schedule="a", k=6), 4) == [6] * 5
    assert widths(RefinementSettings(k=4), 4) == [4, 2, 1, 1, 1]
    assert widths(RefinementSettings(ablation="skip"), 3) == [1] * 4


@pytest.mark.parametrize("upsampling", ["bilinear", "nearest"])
@pytest.mark.parametrize("extra", [False, True])
def test_refinement_equals_the_concatenation_of_figure_7a(upsampling: str, extra: bool) -> None:
    refinement = {
        "k": 8,
        "skip_channels": [4, 4, 4, 3],
        "upsampling": upsampling,
        "extra_vertical_conv": extra,
    }
    model = make(**SMALL, refinement=refinement).double()
    features = [maps.double() for maps in random_features(2)]
    vectors = torch.randn(2, 12).double()
    with torch.no_grad():
        found = model.refinement(vectors, model.refinement.skips(features))
        expected = _figure_7a(model, vectors, features)
    assert found.shape == (2, 64, 64)
    torch.testing.assert_close(found, expected)


def _figure_7a(model: DeepMask, vectors: Tensor, features: list[Tensor]) -> Tensor:
    """SharpMask by its text: concatenate, convolve, ReLU, upsample; padding by NumPy's mode."""
    refinement = model.refinement

    def conv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        edges = ((0, 0), (0, 0), (1, 1), (1, 1))
        return F.conv2d(torch.from_numpy(np.pad(x.numpy(), edges, mode="symmetric")), weight, bias)

    mask = refinement.encoding(vectors).reshape(len(vectors), -1, 4, 4)
    for i, feature in enumerate(features):
        first, second = refinement.skip_encoders[i][0], refinement.skip_encoders[i][2]
        skip = conv(conv(feature, first.weight, first.bias).relu(), second.weight, second.bias)
        skip = skip.relu()
        if refinement.settings.extra_vertical_conv:
            mask = conv(mask, refinement.extra[i].weight, refinement.extra[i].bias).relu()
        module = refinement.refine[i]
        weight = torch.cat([module.conv_mask.weight, module.conv_skip.weight], dim=1)
        bias = module.conv_mask.bias + module.conv_skip.bias
        mask = conv(torch.cat([mask, skip], dim=1), weight, bias).relu()
        how = refinement.settings.upsampling
        options = {} if how == "nearest" else {"align_corners": False}
        mask = F.interpolate(mask, scale_factor=2, mode=how, **options)
    return conv(mask, refinement.predictor.weight, refinement.predictor.bias)[:, 0]


def test_the_skip_ablation_averages_one_map_of_each_layer() -> None:
    model = make(**SMALL, refinement={"skip_channels": [4], "ablation": "skip"})
    refinement = model.refinement
    assert not hasattr(refinement, "refine")
    with torch.no_grad():
        skips = refinement.skips(random_features(1))
        assert [tuple(skip.shape[1:]) for skip in skips] == [(1, s, s) for s in (4, 8, 16, 32)]
        assert any((skip < 0).any() for skip in skips)  # logits
        vectors = torch.randn(1, 12)
        layers = [refinement.encoding(vectors).reshape(1, 1, 4, 4), *skips]
        enlarged = [F.interpolate(x, size=64, mode="bilinear", align_corners=False) for x in layers]
        expected = sum(enlarged)[0] / 5
        torch.testing.assert_close(refinement(vectors, skips), expected)


def test_the_deconv_ablation_sees_no_features() -> None:
    model = make(**SMALL, refinement={"k": 4, "ablation": "deconv"})
    refinement = model.refinement
    assert not [name for name, _ in refinement.named_parameters() if "skip" in name]
    with torch.no_grad():
        assert refinement.skips([torch.randn(1, 64, 4, 4)]) == []
        assert refinement(torch.randn(3, 12), []).shape == (3, 64, 64)
