"""ResNet trunks: a stem and the stages res2 to res5, whose outputs feed the FPN or a decoder.

Module names follow detectron2's checkpoints (`stem.conv1.norm`, `res2.0.conv1`, ...), so that
weights move between the two without a table of names.

Sources: "Deep Residual Learning" (1512.03385); MSRA's variant has the stride in the first 1x1
convolution (`stride_in_1x1`), torchvision's and ResNeXt's (1611.05431) in the 3x3. Dilation and
multi-grid: "Rethinking Atrous Convolution" (DeepLabV3, 1706.05587, section 3).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from pointrend_repro.errors import UserError
from pointrend_repro.modeling.resnet_blocks import (
    BasicBlock,
    BottleneckBlock,
    DeepLabStem,
    Stem,
)

STAGES = ("res2", "res3", "res4", "res5")


@dataclass(frozen=True)
class TrunkShape:
    """Depth and width of a trunk.

    `channels` are the outputs of res2 to res5. A bottleneck block is `groups` x `group_width`
    channels wide in res2, doubling a stage; `groups = 0` makes basic blocks of two 3x3
    convolutions. `stem` is the class of the layers before res2.
    """

    blocks: tuple[int, int, int, int]
    stem_channels: int
    channels: tuple[int, int, int, int]
    groups: int
    group_width: int
    stem: type[Stem] | type[DeepLabStem] = Stem


_WIDE = (256, 512, 1024, 2048)

TRUNKS = {
    "resnet18_narrow": TrunkShape((2, 2, 2, 2), 16, (16, 32, 64, 128), 0, 0),
    "resnet50": TrunkShape((3, 4, 6, 3), 64, _WIDE, 1, 64),
    "resnet101": TrunkShape((3, 4, 23, 3), 64, _WIDE, 1, 64),
    "resnet103": TrunkShape((3, 4, 23, 3), 128, _WIDE, 1, 64, DeepLabStem),
    "resnext101_32x8d": TrunkShape((3, 4, 23, 3), 64, _WIDE, 32, 8),
}


class ResNet(nn.Module):
    """Stem and stages; the stride of res2 is 4, of res5 32, or less where stages are dilated.

    Args:
        name: a key of `TRUNKS`.
        norm: `frozen_bn`, `bn`, `sync_bn` or `gn`. Of the parts that are not trained, batch
            normalisation is frozen too.
        stride_in_1x1: whether a stage's stride is in the first 1x1 convolution of its first block.
        freeze_at: 2 leaves stem and res2 untrained, 0 trains all.
        output_stride: image pixels per cell of res5: 32, 16 (res5 is dilated) or 8 (res4 too).
        multi_grid: what the dilation of each res5 block is multiplied by; empty: by 1.

    Raises:
        UserError: `multi_grid` has not one number for each block of res5.
    """

    def __init__(
        self,
        name: str,
        *,
        norm: str,
        stride_in_1x1: bool,
        freeze_at: int,
        output_stride: int = 32,
        multi_grid: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        shape = TRUNKS[name]
        if multi_grid and len(multi_grid) != shape.blocks[3]:
            raise UserError(
                f"backbone.multi_grid {multi_grid}: res5 of {name} has {shape.blocks[3]} blocks; "
                "give one number for each"
            )
        self.out_channels = shape.channels
        self.multi_grid = multi_grid or (1,) * shape.blocks[3]
        frozen = freeze_at >= 2
        first_norm = "frozen_bn" if frozen and norm in ("bn", "sync_bn") else norm
        self.stem = shape.stem(shape.stem_channels, first_norm)
        self.res2 = _stage(shape, 0, first_norm, stride_in_1x1)
        self.res3, self.res4, self.res5 = (
            _stage(shape, index, norm, stride_in_1x1) for index in (1, 2, 3)
        )
        if frozen:
            for module in (self.stem, self.res2):
                module.requires_grad_(False)
        self.set_output_stride(output_stride)

    def set_output_stride(self, output_stride: int) -> None:
        """Make res5 finer, or coarser again, with the same weights (DeepLabV3, section 3.1).

        Where a stage would go beyond `output_stride` it keeps its input's resolution, and its 3x3
        convolutions are dilated by as much instead, as detectron2 dilates them (commit 02b5c4e2,
        projects/DeepLab/deeplab/resnet.py): from the stage's first block on.
        """
        self.output_stride = output_stride
        for index, name in enumerate(STAGES):
            plain_stride = 4 * 2**index
            stride = 2 if index and plain_stride <= output_stride else 1
            dilation = max(1, plain_stride // output_stride)
            blocks = list(getattr(self, name))
            grid = self.multi_grid if name == "res5" else (1,) * len(blocks)
            for number, (block, factor) in enumerate(zip(blocks, grid, strict=True)):
                block.set_geometry(1 if number else stride, dilation * factor)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Map images (N, 3, H, W) to `res2` ... `res5`, at strides 4, 8, 16, 32 or less."""
        features = {}
        x = self.stem(x)
        for name in STAGES:
            x = getattr(self, name)(x)
            features[name] = x
        return features


def _stage(shape: TrunkShape, index: int, norm: str, stride_in_1x1: bool) -> nn.Sequential:
    return nn.Sequential(*_blocks(shape, index, norm, stride_in_1x1))


def _blocks(
    shape: TrunkShape, index: int, norm: str, stride_in_1x1: bool
) -> Iterator[BasicBlock | BottleneckBlock]:
    out_channels = shape.channels[index]
    in_channels = shape.channels[index - 1] if index else shape.stem_channels
    for _ in range(shape.blocks[index]):
        if shape.groups == 0:
            yield BasicBlock(in_channels, out_channels, norm)
        else:
            yield BottleneckBlock(
                in_channels,
                out_channels,
                norm,
                width=shape.groups * shape.group_width * 2**index,
                groups=shape.groups,
                stride_in_1x1=stride_in_1x1,
            )
        in_channels = out_channels
