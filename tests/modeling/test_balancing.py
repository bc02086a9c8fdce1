"""Balanced feature pyramids against loops over cells."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from pointrend_repro.modeling.backbone import FPNBackbone
from pointrend_repro.modeling.balancing import (
    BalancedPyramid,
    NonLocalBlock,
    _shrunk_in_graph,
)
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.instances import ModelSettings

CHANNELS = 3


def pyramid(p5: tuple[int, int]) -> list[Tensor]:
    """Five levels over an image of so many cells of p5, p6 half as many, rounded up."""
    generator = torch.Generator().manual_seed(0)
    height, width = p5
    sizes = [(height * k, width * k) for k in (8, 4, 2, 1)] + [(-(-height // 2), -(-width // 2))]
    return [torch.randn(2, CHANNELS, *size, generator=generator) for size in sizes]


def slow_resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The largest of the cells that a cell covers at least in part, or the nearest cell."""
    old = x.shape[2:]
    out = torch.empty(*x.shape[:2], *size)
    for i in range(size[0]):
        for j in range(size[1]):
            if old[0] > size[0]:
                rows, columns = (
                    slice(math.floor(k * o / n), math.ceil((k + 1) * o / n))
                    for k, o, n in zip((i, j), old, size, strict=True)
                )
                out[:, :, i, j] = x[:, :, rows, columns].amax(dim=(2, 3))
            else:
                out[:, :, i, j] = x[:, :, i * old[0] // size[0], j * old[1] // size[1]]
    return out


def slow_block(block: NonLocalBlock, x: Tensor) -> Tensor:
    """Attention cell by cell, unscaled."""
    out = x.clone()
    theta, phi, g = block.theta(x), block.phi(x), block.g(x)
    for n in range(len(x)):
        keys, values = phi[n].flatten(1), g[n].flatten(1)
        for i in range(x.shape[2]):
            for j in range(x.shape[3]):
                share = (theta[n, :, i, j] @ keys).softmax(0)
                attended = (values @ share)[:, None, None]
                out[n, :, i, j] += block.out(attended)[:, 0, 0]
    return out


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("p5", [(2, 4), (3, 5), (1, 1)])
def test_levels_gain_the_refined_mean(p5: tuple[int, int], blocks: int) -> None:
    torch.manual_seed(1)
    module, levels = BalancedPyramid(CHANNELS, blocks), pyramid(p5)
    with torch.no_grad():
        got = module(levels)
        size = tuple(levels[2].shape[2:])
        mean = sum(slow_resize(level, size) for level in levels) / 5
        for block in module.blocks:
            mean = slow_block(block, mean)
        for one, level in zip(got, levels, strict=True):
            wanted = level + slow_resize(mean, tuple(level.shape[2:]))
            torch.testing.assert_close(one, wanted, atol=1e-5, rtol=1e-4)


@given(height=st.integers(1, 30), width=st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_a_graph_shrinks_as_the_model_does(height: int, width: int) -> None:
    """From p2, p3 and p4 to p4, p5 and p6: maps of any number of cells of p5."""
    p2, p3, p4, p5, p6 = pyramid((height, width))
    for fine, coarse in ((p2, p4), (p3, p4), (p4, p5), (p4, p6)):
        wanted = F.adaptive_max_pool2d(fine, coarse.shape[2:])
        assert torch.equal(_shrunk_in_graph(fine, coarse.shape[2:]), wanted)


def test_channels_last_maps_stay_so() -> None:
    """As a CPU's maps are, whose cells heads read in rows."""
    levels = [x.contiguous(memory_format=torch.channels_last) for x in pyramid((3, 5))]
    for level in BalancedPyramid(CHANNELS, 1)(levels):
        assert level.is_contiguous(memory_format=torch.channels_last)


def test_a_backbone_balances_p2_to_p6_and_leaves_the_trunk() -> None:
    torch.manual_seed(0)
    image = [torch.rand(3, 70, 90) * 255]
    values = {"name": "resnet18_narrow", "norm": "gn", "fpn_channels": 8}
    plain = FPNBackbone(BackboneSettings.model_validate(values))
    balanced = FPNBackbone(BackboneSettings.model_validate(values | {"balancing_blocks": 1}))
    missing, unexpected = balanced.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert sorted(missing) == sorted(
        f"balance.blocks.0.{layer}.{kind}"
        for layer in ("theta", "phi", "g", "out")
        for kind in ("weight", "bias")
    )
    with torch.no_grad():
        before, after = plain(image), balanced(image)
        levels = balanced.balance([before[f"p{i}"] for i in range(2, 7)])
    assert before.keys() == after.keys()
    for i, level in enumerate(levels, start=2):
        torch.testing.assert_close(after[f"p{i}"], level)
        assert not torch.equal(level, before[f"p{i}"])
    for i in range(2, 6):
        torch.testing.assert_close(after[f"res{i}"], before[f"res{i}"])


def test_a_pyramid_is_needed() -> None:
    values = {"backbone": {"name": "resnet50", "balancing_blocks": 1}, "features": "c4"}
    with pytest.raises(ValidationError, match="balancing_blocks needs features: fpn, not c4"):
        ModelSettings.model_validate(values | {"mask_head": {"kind": "res5"}})


def test_attention_has_the_channels_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's kernels of GPUs ask for it, or it takes the way that keeps H * W by H * W weights."""
    seen = []

    def attend(*tensors: Tensor, **options: float) -> Tensor:
        seen.extend(tensor.stride(-1) for tensor in tensors)
        return tensors[2]

    monkeypatch.setattr(F, "scaled_dot_product_attention", attend)
    x = torch.rand(2, 4, 3, 5)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        NonLocalBlock(4)(x.contiguous(memory_format=memory_format))
    assert seen == [1] * 6
