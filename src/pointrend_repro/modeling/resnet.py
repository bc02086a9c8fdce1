"""ResNet trunks: a stem and the stages res2 to res5, whose outputs feed the FPN.

Module names follow detectron2's checkpoints (`stem.conv1.norm`, `res2.0.conv1`, ...), so that
weights move between the two without a table of names.

Sources: "Deep Residual Learning" (1512.03385); MSRA's variant has the stride in the first 1x1
convolution (`stride_in_1x1`), torchvision's and ResNeXt's (1611.05431) in the 3x3.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from pointrend_repro.modeling.init import init_msra


@dataclass(frozen=True)
class TrunkShape:
    """Depth and width of a trunk.

    `channels` are the outputs of res2 to res5. A bottleneck block is `groups` x `group_width`
    channels wide in res2, doubling a stage; `groups = 0` makes basic blocks of two 3x3
    convolutions.
    """

    blocks: tuple[int, int, int, int]
    stem_channels: int
    channels: tuple[int, int, int, int]
    groups: int
    group_width: int


TRUNKS = {
    "resnet18_narrow": TrunkShape((2, 2, 2, 2), 16, (16, 32, 64, 128), 0, 0),
    "resnet50": TrunkShape((3, 4, 6, 3), 64, (256, 512, 1024, 2048), 1, 64),
    "resnet101": TrunkShape((3, 4, 23, 3), 64, (256, 512, 1024, 2048), 1, 64),
    "resnext101_32x8d": TrunkShape((3, 4, 23, 3), 64, (256, 512, 1024, 2048), 32, 8),
}


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

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        normed: Tensor = self.norm(super().forward(x))
        return normed


class Stem(nn.Module):
    """7x7 convolution of stride 2 and a 3x3 max-pooling of stride 2."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, channels, 7, stride=2, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, C, H / 4, W / 4)."""
        return F.max_pool2d(F.relu_(self.conv1(x)), kernel_size=3, stride=2, padding=1)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm: str) -> None:
        super().__init__()
        self.shortcut = _shortcut(in_channels, out_channels, stride, norm)
        self.conv1 = ConvNorm(in_channels, out_channels, 3, stride=stride, norm=norm)
        self.conv2 = ConvNorm(out_channels, out_channels, 3, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        y = self.conv2(F.relu_(self.conv1(x)))
        return F.relu_(y + self.shortcut(x))


class BottleneckBlock(nn.Module):
    """1x1, (grouped) 3x3 and 1x1 convolutions around a shortcut."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        norm: str,
        *,
        width: int,
        groups: int,
        stride_in_1x1: bool,
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        self.shortcut = _shortcut(in_channels, out_channels, stride, norm)
        self.conv1 = ConvNorm(in_channels, width, 1, stride=first, norm=norm)
        self.conv2 = ConvNorm(width, width, 3, stride=second, groups=groups, norm=norm)
        self.conv3 = ConvNorm(width, out_channels, 1, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        y = F.relu_(self.conv2(F.relu_(self.conv1(x))))
        return F.relu_(self.conv3(y) + self.shortcut(x))


class ResNet(nn.Module):
    """Stem and stages; the output stride of res2 is 4, of res5 32."""

    def __init__(self, name: str, *, norm: str, stride_in_1x1: bool, freeze_at: int) -> None:
        super().__init__()
        shape = TRUNKS[name]
        self.out_channels = shape.channels
        self.stem = Stem(shape.stem_channels, norm)
        self.res2, self.res3, self.res4, self.res5 = (
            _stage(shape, index, norm, stride_in_1x1) for index in range(4)
        )
        if freeze_at >= 2:
            for module in (self.stem, self.res2):
                module.requires_grad_(False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Map images (N, 3, H, W) to `res2` ... `res5`, at strides 4, 8, 16, 32."""
        features = {}
        x = self.stem(x)
        for name in ("res2", "res3", "res4", "res5"):
            x = getattr(self, name)(x)
            features[name] = x
        return features


def _stage(shape: TrunkShape, index: int, norm: str, stride_in_1x1: bool) -> nn.Sequential:
    out_channels = shape.channels[index]
    in_channels = shape.channels[index - 1] if index else shape.stem_channels
    blocks: list[nn.Module] = []
    for number in range(shape.blocks[index]):
        stride = 2 if index and not number else 1
        if shape.groups == 0:
            blocks.append(BasicBlock(in_channels, out_channels, stride, norm))
        else:
            width = shape.groups * shape.group_width * 2**index
            blocks.append(
                BottleneckBlock(
                    in_channels,
                    out_channels,
                    stride,
                    norm,
                    width=width,
                    groups=shape.groups,
                    stride_in_1x1=stride_in_1x1,
                )
            )
        in_channels = out_channels
    return nn.Sequential(*blocks)


def _shortcut(in_channels: int, out_channels: int, stride: int, norm: str) -> nn.Module:
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    return ConvNorm(in_channels, out_channels, 1, stride=stride, norm=norm)


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(num_groups=max(1, channels // 8), num_channels=channels)


_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "frozen_bn": FrozenBatchNorm2d,
    "gn": _group_norm,
}
