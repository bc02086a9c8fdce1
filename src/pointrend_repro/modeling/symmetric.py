"""Convolutions whose border mirrors the map, so that a patch looks like a piece of a large image.

SharpMask calls it "reflective-padding instead of 0-padding at every convolutional layer" (section 5
of 1603.08695). Its code mirrors with the edge cell included, cba|abcd, and lets no gradient flow
back through the border (facebookresearch/deepmask at commit 280a716b, SpatialSymmetricPadding.lua).
PyTorch's `reflect` leaves the edge cell out and is another padding.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Symmetric(torch.autograd.Function):
    """Mirrors the border; to the gradient it is constant."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, reach: int) -> Tensor:
        ctx.reach = reach
        if reach == 1:  # the same thing, three times as fast
            return F.pad(maps, (1, 1, 1, 1), mode="replicate")
        for axis in (2, 3):
            size = maps.shape[axis]
            first = maps.narrow(axis, 0, reach).flip(axis)
            last = maps.narrow(axis, size - reach, reach).flip(axis)
            maps = torch.cat([first, maps, last], dim=axis)
        return maps

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        inside = slice(ctx.reach, -ctx.reach)
        return grads[0][:, :, inside, inside], None


def pad_symmetric(maps: Tensor, reach: int) -> Tensor:
    """Pad maps (N, C, H, W) by `reach` mirrored cells on each side, at most H and W of them."""
    padded: Tensor = _Symmetric.apply(maps, reach)
    return padded


def pad_symmetrically(module: nn.Module) -> None:
    """Make all of a module's padded convolutions mirror the border instead of adding zeros.

    Max-pooling keeps its padding, as in the authors' code.
    """
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d) and conv.padding != (0, 0):
            (reach,) = set(conv.padding)
            assert isinstance(reach, int)
            conv.padding = (0, 0)
            conv.register_forward_pre_hook(_Padding(reach))


class _Padding:
    """Pads a convolution's input; a class, since models are copied between processes."""

    def __init__(self, reach: int) -> None:
        self.reach = reach

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        return pad_symmetric(inputs[0], self.reach)
