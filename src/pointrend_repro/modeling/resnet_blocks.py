"""Parts of ResNet trunks: stems, residual blocks, and convolutions with normalisation.

Strides and dilations have no weights, so blocks are made without them and get them from
`set_geometry`, which may be called again on a trained block.

Module names follow detectron2's checkpoints (`conv1.norm`, `shortcut`, ...).
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from pointrend_repro.modeling.init import init_msra


class ConvNorm(nn.Conv2d):
    """A convolution without bias, followed by its normalisation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        norm: str,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
        )
        self.norm = _NORMS[norm](out_channels)
        init_msra(self)

    def set_geometry(self, stride: int, dilation: int = 1) -> None:
        """Change stride and dilation; the padding keeps output cells aligned with input cells."""
        reach = dilation * (self.kernel_size[0] // 2)
        self.stride = (stride, stride)
        self.dilation = (dilation, dilation)
        self.padding = (reach, reach)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        if isinstance(self.norm, FrozenBatchNorm2d):
            return self._with_norm_in_weights(x, self.norm)
        normed: Tensor = self.norm(super().forward(x))
        return normed

    def _with_norm_in_weights(self, x: Tensor, norm: FrozenBatchNorm2d) -> Tensor:
        """A frozen norm is linear: scaling the weights is far cheaper than scaling the maps."""
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        weight = self.weight * scale.view(-1, 1, 1, 1)
        return self._conv_forward(x, weight, norm.bias - norm.running_mean * scale)


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

    def __init__(self, in_channels: int, out_channels: int, norm: str) -> None:
        super().__init__()
        self.shortcut = _shortcut(in_channels, out_channels, norm)
        self.conv1 = ConvNorm(in_channels, out_channels, 3, norm=norm)
        self.conv2 = ConvNorm(out_channels, out_channels, 3, norm=norm)

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
        y = self.conv2(F.relu_(self.conv1(x)))
        return F.relu_(y.add_(self.shortcut(x)))


class BottleneckBlock(nn.Module):
    """1x1, (grouped) 3x3 and 1x1 convolutions around a shortcut."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: str,
        *,
        width: int,
        groups: int,
        stride_in_1x1: bool,
    ) -> None:
        super().__init__()
        self.stride_in_1x1 = stride_in_1x1
        self.shortcut = _shortcut(in_channels, out_channels, norm)
        self.conv1 = ConvNorm(in_channels, width, 1, norm=norm)
        self.conv2 = ConvNorm(width, width, 3, groups=groups, norm=norm)
        self.conv3 = ConvNorm(width, out_channels, 1, norm=norm)

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
        y = F.relu_(self.conv2(F.relu_(self.conv1(x))))
        return F.relu_(self.conv3(y).add_(self.shortcut(x)))


def _shortcut(in_channels: int, out_channels: int, norm: str) -> nn.Module:
    if in_channels == out_channels:
        return nn.Identity()
    return ConvNorm(in_channels, out_channels, 1, norm=norm)


def _set_shortcut_stride(shortcut: nn.Module, stride: int) -> None:
    if isinstance(shortcut, ConvNorm):
        shortcut.set_geometry(stride)
    elif stride != 1:
        raise ValueError("a block that keeps its channels has no shortcut to stride in")


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(num_groups=max(1, channels // 8), num_channels=channels)


_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "frozen_bn": FrozenBatchNorm2d,
    "bn": nn.BatchNorm2d,
    "sync_bn": nn.SyncBatchNorm,
    "gn": _group_norm,
}
