"""Deformable convolutions, and norms whose statistics stay."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from pointrend_repro.modeling.conv_norm import (
    ConvNorm,
    DeformableConvNorm,
    FixedStatisticsBatchNorm2d,
)
from pointrend_repro.modeling.resnet import ResNet


def read(plane: NDArray[np.float64], y: float, x: float) -> float:
    """Read a plane between its cells; outside there are zeros."""
    top, left = math.floor(y), math.floor(x)
    total = 0.0
    for row in (top, top + 1):
        for column in (left, left + 1):
            if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
                total += plane[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def slow(conv: DeformableConvNorm, x: Tensor) -> Tensor:
    """Equation 2 of the paper, one output at a time, then the norm."""
    offsets = conv.offset(x)[0].detach().double().numpy()  # (18, h, w): dy, dx of each tap
    planes, weights = x[0].double().numpy(), conv.weight.detach().double().numpy()
    stride, dilation = conv.stride[0], conv.dilation[0]
    out = np.zeros((len(weights), *offsets.shape[1:]))
    per_group = len(planes) // conv.groups
    for k, i, j in np.ndindex(*out.shape):
        group = k // (len(weights) // conv.groups)
        for channel, tap in np.ndindex(per_group, 9):
            dy, dx = offsets[2 * tap : 2 * tap + 2, i, j]
            y = i * stride + (tap // 3 - 1) * dilation + dy
            x_at = j * stride + (tap % 3 - 1) * dilation + dx
            plane = planes[group * per_group + channel]
            out[k, i, j] += weights[k, channel].flat[tap] * read(plane, y, x_at)
    normed: Tensor = conv.norm(torch.tensor(out[None], dtype=torch.float32))
    return normed


@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (2, 1, 2), (1, 2, 4)])
def test_a_deformable_convolution_reads_where_its_offsets_point(
    stride: int, dilation: int, groups: int
) -> None:
    torch.manual_seed(0)
    conv = DeformableConvNorm(4, 8, 3, norm="frozen_bn", groups=groups)
    conv.set_geometry(stride, dilation)
    nn.init.normal_(conv.offset.weight)
    nn.init.normal_(conv.offset.bias)
    conv.norm.running_mean.normal_()
    x = torch.randn(1, 4, 5, 7)
    torch.testing.assert_close(conv(x), slow(conv, x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("norm", ["frozen_bn", "gn"])
def test_a_new_one_is_a_plain_convolution(norm: str) -> None:
    torch.manual_seed(0)
    new, plain = DeformableConvNorm(8, 16, 3, norm=norm), ConvNorm(8, 16, 3, norm=norm)
    plain.load_state_dict(new.state_dict(), strict=False)
    new.set_geometry(2)
    plain.set_geometry(2)
    x = torch.randn(2, 8, 9, 12)
    torch.testing.assert_close(new(x), plain(x))


def test_it_keeps_the_order_of_a_map_in_memory() -> None:
    conv = DeformableConvNorm(8, 8, 3, norm="gn")
    x = torch.randn(1, 8, 6, 6)
    assert conv(x).is_contiguous()
    last = torch.channels_last
    assert conv(x.contiguous(memory_format=last)).is_contiguous(memory_format=last)


def test_bfloat16_is_close_to_float32() -> None:
    torch.manual_seed(0)
    conv = DeformableConvNorm(8, 8, 3, norm="frozen_bn")
    nn.init.normal_(conv.offset.weight, std=0.1)
    x = torch.randn(1, 8, 12, 12)
    with torch.autocast("cpu", torch.bfloat16):
        found = conv(x.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), conv(x), atol=0.1, rtol=0.1)
    found.float().sum().backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("name", ["resnet18_narrow", "resnext50_narrow", "res2net50_narrow"])
def test_the_3x3_convolutions_of_res3_to_res5_deform(name: str) -> None:
    trunk = ResNet(name, norm="gn", stride_in_1x1=False, freeze_at=0, deformable=True)
    for part in ("stem", "res2", "res3", "res4", "res5"):
        layers = trunk.get_submodule(part).modules()
        wide = [m for m in layers if isinstance(m, ConvNorm) and m.kernel_size == (3, 3)]
        deforms = part not in ("stem", "res2")
        assert all(isinstance(conv, DeformableConvNorm) == deforms for conv in wide)
    maps = trunk(torch.randn(1, 3, 64, 96))
    sum(m.mean() for m in maps.values()).backward()
    offsets = [p.grad for n, p in trunk.named_parameters() if ".offset." in n]
    assert offsets
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in offsets)
    assert [tuple(m.shape[2:]) for m in maps.values()] == [(16, 24), (8, 12), (4, 6), (2, 3)]


def test_fixed_statistics_train_scale_and_shift_as_batch_norm_at_test_time() -> None:
    torch.manual_seed(0)
    conv = ConvNorm(4, 6, 3, norm="fixed_statistics_bn")
    conv.norm.running_mean.normal_()
    conv.norm.running_var.uniform_(0.5, 2)
    reference = nn.BatchNorm2d(6).eval()
    reference.load_state_dict(conv.norm.state_dict(), strict=False)
    x = torch.randn(2, 4, 5, 5)
    out, wanted = conv.train()(x), reference(F.conv2d(x, conv.weight.detach(), padding=1))
    torch.testing.assert_close(out, wanted)
    out.square().sum().backward()
    wanted.square().sum().backward()
    for name, parameter in reference.named_parameters():
        ours = conv.norm.get_parameter(name).grad
        torch.testing.assert_close(ours, parameter.grad, atol=1e-3, rtol=1e-4)


def test_fixed_statistics_do_not_move_and_their_frozen_stages_do_not_learn() -> None:
    trunk = ResNet(
        "resnet18_narrow", norm="fixed_statistics_bn", stride_in_1x1=True, freeze_at=2
    ).train()
    trunk(torch.randn(2, 3, 32, 32))["res5"].sum().backward()
    assert type(trunk.res2[0].conv1.norm) is FrozenBatchNorm2d
    for module in trunk.modules():
        if isinstance(module, FixedStatisticsBatchNorm2d):
            assert torch.equal(module.running_mean, torch.zeros_like(module.running_mean))
            assert torch.equal(module.running_var, torch.ones_like(module.running_var))
            assert module.weight.grad is not None
    frozen = ResNet("resnet18_narrow", norm="frozen_bn", stride_in_1x1=True, freeze_at=2)
    assert {*frozen.state_dict()} == {*trunk.state_dict()}
