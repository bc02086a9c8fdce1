"""Parts of ResNet trunks: stems and residual blocks.

Strides and dilations have no weights, so blocks are made without them and get them from
`set_geometry`, which may be called again on a trained block.

Module names follow detectron2's checkpoints (`conv1.norm`, `shortcut`, ...).
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.modeling.context_block import ContextBlock
from pointrend_repro.modeling.conv_norm import ConvNorm, DeformableConvNorm


@dataclass(frozen=True)
class BlockParts:
    """What the residual blocks of a stage consist of, as `BackboneSettings` names it.

    Attributes:
        deformable: whether their 3x3 convolutions are.
        context_ratio: of the GC block before the sum with the shortcut; none: no such block.
    """

    norm: str
    stride_in_1x1: bool
    deformable: bool = False
    context_ratio: float | None = None

    def conv3x3(self, in_channels: int, out_channels: int, groups: int = 1) -> ConvNorm:
        """Make a 3x3 convolution with its norm."""
        kind = DeformableConvNorm if self.deformable else ConvNorm
        return kind(in_channels, out_channels, 3, norm=self.norm, groups=groups)

    def context(self, channels: int) -> nn.Module:
        """Make what follows the last convolution."""
        if self.context_ratio is None:
            return nn.Identity()
        return ContextBlock(channels, self.context_ratio)


class Stem(nn.Module):
    """7x7 convolution of stride 2 and a 3x3 max-pooling of stride 2."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, channels, 7, stride=2, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, C, H / 4, W / 4)."""
        return F.max_pool2d(F.relu_(self.conv1(x)), kernel_size=3, stride=2, padding=1)


class DeepLabStem(nn.Module):
    """Three 3x3 convolutions in place of the 7x7 (section 5, footnote 3: "ResNet-103")."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, channels // 2, 3, stride=2, norm=norm)
        self.conv2 = ConvNorm(channels // 2, channels // 2, 3, norm=norm)
        self.conv3 = ConvNorm(channels // 2, channels, 3, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, C, H / 4, W / 4)."""
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.relu_(conv(x))
        return F.max_pool2d(x, kernel_size=3, stride=2, padding=1)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, parts: BlockParts) -> None:
        super().__init__()
        self.shortcut = make_shortcut(in_channels, out_channels, parts.norm)
        self.conv1 = parts.conv3x3(in_channels, out_channels)
        self.conv2 = parts.conv3x3(out_channels, out_channels)
        self.context = parts.context(out_channels)

    def set_geometry(
        self, dilation: int, *, stride: int = 1, strided_dilation: int | None = None
    ) -> None:
        """Change the block's stride, and the dilation of its 3x3 convolutions.

        Args:
            dilation: in cells of the block's output.
            strided_dilation: of the strided convolution, in cells of the block's input; none:
                `dilation`.
        """
        self.conv1.set_geometry(stride, strided_dilation or dilation)
        self.conv2.set_geometry(1, dilation)
        _set_shortcut_stride(self.shortcut, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        y = self.context(self.conv2(F.relu_(self.conv1(x))))
        return F.relu_(y.add_(self.shortcut(x)))


class BottleneckBlock(nn.Module):
    """1x1, (grouped) 3x3 and 1x1 convolutions around a shortcut."""

    def __init__(
        self, in_channels: int, out_channels: int, parts: BlockParts, *, width: int, groups: int
    ) -> None:
        super().__init__()
        self.stride_in_1x1 = parts.stride_in_1x1
        self.shortcut = make_shortcut(in_channels, out_channels, parts.norm)
        self.conv1 = ConvNorm(in_channels, width, 1, norm=parts.norm)
        self.conv2 = parts.conv3x3(width, width, groups)
        self.conv3 = ConvNorm(width, out_channels, 1, norm=parts.norm)
        self.context = parts.context(out_channels)

    def set_geometry(
        self, dilation: int, *, stride: int = 1, strided_dilation: int | None = None
    ) -> None:
        """Change the block's stride and the dilation of its 3x3 convolution, as in `BasicBlock`."""
        if self.stride_in_1x1:
            self.conv1.set_geometry(stride)
            self.conv2.set_geometry(1, dilation)
        else:
            self.conv1.set_geometry(1)
            self.conv2.set_geometry(stride, strided_dilation or dilation)
        _set_shortcut_stride(self.shortcut, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        y = self.context(self.conv3(F.relu_(self.conv2(F.relu_(self.conv1(x))))))
        return F.relu_(y.add_(self.shortcut(x)))


def make_shortcut(in_channels: int, out_channels: int, norm: str) -> nn.Module:
    """Make the way around a block: a 1x1 convolution where the channels change."""
    if in_channels == out_channels:
        return nn.Identity()
    return ConvNorm(in_channels, out_channels, 1, norm=norm)


def _set_shortcut_stride(shortcut: nn.Module, stride: int) -> None:
    if isinstance(shortcut, ConvNorm):
        shortcut.set_geometry(stride)
    elif stride != 1:
        raise ValueError("a block that keeps its channels has no shortcut to stride in")
