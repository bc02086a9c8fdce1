"""Convolutions with their normalisation, plain and deformable.

Strides and dilations have no weights, so they may be changed on a trained convolution.

Sources: "Deformable Convolutional Networks" (DCN, 1703.06211) without modulation, with one group of
offsets; offsets are ordered as in detectron2 and mmdetection, (dy, dx) for each tap of the kernel.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d, deform_conv2d

from pointrend_repro.modeling.init import init_msra, init_normal


class FixedStatisticsBatchNorm2d(FrozenBatchNorm2d):
    """Batch normalisation whose statistics stay those of its first weights; scale and shift learn.

    mmdetection's `norm_eval=True, requires_grad=True`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        for name in ("weight", "bias"):
            self.register_parameter(name, nn.Parameter(self._buffers.pop(name)))


@dataclass(frozen=True)
class _Folded:
    """Weights with a norm in them, and those that they were made of, as they were then."""

    of: tuple[Tensor, ...]
    versions: list[int]
    weight: Tensor
    bias: Tensor

    def is_of(self, now: tuple[Tensor, ...]) -> bool:
        """Whether these tensors are the same and nobody has changed them since."""
        same = all(a is b for a, b in zip(self.of, now, strict=True))
        return same and self.versions == [t._version for t in now]


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
        self._folded: _Folded | None = None
        init_msra(self)

    def set_geometry(self, stride: int, dilation: int = 1) -> None:
        """Change stride and dilation; the padding keeps output cells aligned with input cells."""
        _set_geometry(self, stride, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        if isinstance(self.norm, FrozenBatchNorm2d):
            return self._with_norm_in_weights(x, self.norm)
        normed: Tensor = self.norm(super().forward(x))
        return normed

    def _with_norm_in_weights(self, x: Tensor, norm: FrozenBatchNorm2d) -> Tensor:
        """A frozen norm is linear: scaling the weights is far cheaper than scaling the maps.

        A GPU is given the scaled weights of the last time at inference, as their five launches for
        each convolution are more than half of a trunk's. The numbers are the same.
        """
        if torch.is_grad_enabled() or self.training or x.device.type == "cpu":
            self._folded = None
            return self._conv_forward(x, *self._fold(norm))
        of = (self.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
        if self._folded is None or not self._folded.is_of(of):
            self._folded = _Folded(of, [t._version for t in of], *self._fold(norm))
        return self._conv_forward(x, self._folded.weight, self._folded.bias)

    def _fold(self, norm: FrozenBatchNorm2d) -> tuple[Tensor, Tensor]:
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        return self.weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "ConvNorm":
        self._folded = None  # weights move to another device or format, which no version tells
        moved: ConvNorm = super()._apply(fn, recurse)
        return moved


class DeformableConvNorm(ConvNorm):
    """A `ConvNorm` that reads its input at offsets, which a plain convolution of it computes.

    All channels share the offsets, also where the convolution has groups. They begin at zero: a new
    one computes what a plain `ConvNorm` of its weights does.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, norm: str, groups: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, norm=norm, groups=groups)
        self.offset = nn.Conv2d(
            in_channels, 2 * kernel_size**2, kernel_size, padding=kernel_size // 2
        )
        init_normal(self.offset, std=0.0)

    def set_geometry(self, stride: int, dilation: int = 1) -> None:
        """Change stride and dilation, as of a `ConvNorm`."""
        super().set_geometry(stride, dilation)
        _set_geometry(self.offset, stride, dilation)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        offset = self.offset(input)
        # torchvision's operator has no bfloat16.
        with torch.autocast(input.device.type, enabled=False):
            x, at = (t.float() if t.dtype == torch.bfloat16 else t for t in (input, offset))
            out: Tensor = deform_conv2d(
                x, at, weight, bias, self.stride, self.padding, self.dilation
            )
        out = out.to(offset.dtype)
        # Nor does it keep rows of channels, which all later layers would lose, too.
        last = input.is_contiguous(memory_format=torch.channels_last)
        return out.contiguous(memory_format=torch.channels_last) if last else out


def _set_geometry(conv: nn.Conv2d, stride: int, dilation: int) -> None:
    reach = dilation * (conv.kernel_size[0] // 2)
    conv.stride = (stride, stride)
    conv.dilation = (dilation, dilation)
    conv.padding = (reach, reach)


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(num_groups=max(1, channels // 8), num_channels=channels)


_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "frozen_bn": FrozenBatchNorm2d,
    "fixed_statistics_bn": FixedStatisticsBatchNorm2d,
    "bn": nn.BatchNorm2d,
    "sync_bn": nn.SyncBatchNorm,
    "gn": _group_norm,
}
