"""Blocks of Res2Net.

Source: "Res2Net: A New Multi-scale Backbone Architecture" (1904.01169); in its authors' version
v1b (github.com/Res2Net/Res2Net-PretrainedModels, res2net_v1b.py), maps are halved by averages.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.modeling.conv_norm import ConvNorm
from pointrend_repro.modeling.resnet_blocks import BlockParts, make_shortcut


class Res2NetBlock(nn.Module):
    """Convolves the parts of a map one after another, each with the part before it added.

    The last part passes as it is. In a stage's first block the parts are not added, since they are
    convolved to another resolution, and the last is averaged to it.

    Args:
        width: channels of all parts together.
        scales: how many parts there are.
        is_first: whether it is the first block of a stage.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        parts: BlockParts,
        *,
        width: int,
        scales: int,
        is_first: bool,
    ) -> None:
        super().__init__()
        self.scales, self.is_first, self.stride = scales, is_first, 1
        each = width // scales
        self.shortcut = make_shortcut(in_channels, out_channels, parts.norm)
        self.conv1 = ConvNorm(in_channels, width, 1, norm=parts.norm)
        self.convs = nn.ModuleList(parts.conv3x3(each, each) for _ in range(scales - 1))
        self.conv3 = ConvNorm(width, out_channels, 1, norm=parts.norm)
        self.context = parts.context(out_channels)

    def set_geometry(
        self, dilation: int, *, stride: int = 1, strided_dilation: int | None = None
    ) -> None:
        """Change the block's stride and the dilation of its 3x3 convolutions.

        Raises:
            ValueError: a block that is not a stage's first would get a stride.
        """
        if stride != 1 and not self.is_first:
            raise ValueError("only a stage's first block has a stride")
        self.stride = stride
        for conv in self.convs:
            assert isinstance(conv, ConvNorm)
            conv.set_geometry(stride, strided_dilation or dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride), rounded up."""
        *parts, last = F.relu_(self.conv1(x)).chunk(self.scales, dim=1)
        outputs: list[Tensor] = []
        for conv, part in zip(self.convs, parts, strict=True):
            first = self.is_first or not outputs
            outputs.append(F.relu_(conv(part if first else part + outputs[-1])))
        if self.is_first:
            last = F.avg_pool2d(last, kernel_size=3, stride=self.stride, padding=1)
        y = self.context(self.conv3(torch.cat([*outputs, last], dim=1)))
        return F.relu_(y.add_(self.shortcut(self._smaller(x))))

    def _smaller(self, x: Tensor) -> Tensor:
        """The mean of each of the cells that an output cell covers; none lies outside the map."""
        if self.stride == 1:
            return x
        side = self.stride
        return F.avg_pool2d(x, side, stride=side, ceil_mode=True, count_include_pad=False)
