"""ResNet trunks: a stem and the stages res2 to res5, whose outputs feed the FPN or a decoder.

Module names follow detectron2's checkpoints (`stem.conv1.norm`, `res2.0.conv1`, ...), so that
weights can be exchanged without a table of names.

Sources: "Deep Residual Learning" (1512.03385); MSRA's variant has the stride in the first 1x1
convolution (`stride_in_1x1`), torchvision's and ResNeXt's (1611.05431) in the 3x3. Dilation and
multi-grid: "Rethinking Atrous Convolution" (DeepLabV3, 1706.05587, section 3). Deformable
convolutions and GC blocks lie in res3 to res5, as in the 3D-FUTURE report (2009.04650).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.modeling.res2net_block import Res2NetBlock
from pointrend_repro.modeling.resnet_blocks import (
    BasicBlock,
    BlockParts,
    BottleneckBlock,
    DeepLabStem,
    Stem,
)

STAGES = ("res2", "res3", "res4", "res5")


@dataclass(frozen=True)
class TrunkShape:
    """Depth and width of a trunk.

    `channels` are the outputs of res2 to res5. A bottleneck block is `groups` x `group_width`
    channels wide in res2, and twice as wide in each further stage; `groups = 0` makes basic blocks
    of two 3x3 convolutions. `cascaded`: the groups are convolved one after another, as in Res2Net.
    `stem` is the class of the layers before res2.
    """

    blocks: tuple[int, int, int, int]
    stem_channels: int
    channels: tuple[int, int, int, int]
    groups: int
    group_width: int
    stem: type[Stem] | type[DeepLabStem] = Stem
    cascaded: bool = False


_WIDE = (256, 512, 1024, 2048)
_NARROW = (64, 128, 256, 512)

TRUNKS = {
    "resnet18_narrow": TrunkShape((2, 2, 2, 2), 16, (16, 32, 64, 128), 0, 0),
    "resnet50_narrow": TrunkShape((3, 4, 6, 3), 16, _NARROW, 1, 16),
    "resnext50_narrow": TrunkShape((3, 4, 6, 3), 16, _NARROW, 8, 4),
    "res2net50_narrow": TrunkShape((3, 4, 6, 3), 16, _NARROW, 4, 8, DeepLabStem, cascaded=True),
    "resnet50": TrunkShape((3, 4, 6, 3), 64, _WIDE, 1, 64),
    "resnet101": TrunkShape((3, 4, 23, 3), 64, _WIDE, 1, 64),
    "resnet103": TrunkShape((3, 4, 23, 3), 128, _WIDE, 1, 64, DeepLabStem),
    "resnext101_32x8d": TrunkShape((3, 4, 23, 3), 64, _WIDE, 32, 8),
    "resnext101_64x4d": TrunkShape((3, 4, 23, 3), 64, _WIDE, 64, 4),
    "res2net101": TrunkShape((3, 4, 23, 3), 64, _WIDE, 4, 26, DeepLabStem, cascaded=True),
}


class ResNet(nn.Module):
    """Stem and stages; the stride of res2 is 4, of res5 32, or less where stages are dilated.

    Args:
        name: a key of `TRUNKS`.
        norm: `frozen_bn`, `fixed_statistics_bn`, `bn`, `sync_bn` or `gn`. In untrained stages
            batch normalisation is frozen too.
        stride_in_1x1: whether a stage's stride is in the first 1x1 convolution of its first block.
        freeze_at: 2 leaves stem and res2 untrained, 0 trains all.
        output_stride: image pixels per cell of res5 in training: 32, 16 (res5 is dilated) or 8
            (res4 too). Every 3x3 convolution of a dilated stage is dilated, the first block's
            included, as in detectron2 (commit 02b5c4e2, projects/DeepLab/deeplab/resnet.py).
        multi_grid: factors of the dilation of each res5 block; empty: 1 for all.
        last: the last stage that it has, with which a head of a detector may go on (`Res5`).
        deformable: whether the 3x3 convolutions of res3 to res5 are.
        context_ratio: of the GC blocks in res3 to res5; none: there are none.

    Raises:
        UserError: `multi_grid` does not have one number for each block of res5, or a Res2Net is
            to be dilated or to have its strides in 1x1 convolutions.
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
        last: str = "res5",
        deformable: bool = False,
        context_ratio: float | None = None,
    ) -> None:
        super().__init__()
        shape = TRUNKS[name]
        if shape.cascaded and stride_in_1x1:
            raise UserError(
                f"backbone.stride_in_1x1: {name} has its strides in 3x3 convolutions; set it to "
                "false"
            )
        if multi_grid and len(multi_grid) != shape.blocks[3]:
            raise UserError(
                f"backbone.multi_grid {multi_grid}: res5 of {name} has {shape.blocks[3]} blocks; "
                "give one number for each"
            )
        self.name, self.cascaded = name, shape.cascaded
        self.stages = STAGES[: STAGES.index(last) + 1]
        self.out_channels = shape.channels[: len(self.stages)]
        self.multi_grid = multi_grid or (1,) * shape.blocks[3]
        frozen = freeze_at >= 2
        first_norm = "frozen_bn" if frozen and norm != "gn" else norm
        self.stem = shape.stem(shape.stem_channels, first_norm)
        of_res2 = BlockParts(first_norm, stride_in_1x1)
        of_others = BlockParts(norm, stride_in_1x1, deformable, context_ratio)
        for index, stage in enumerate(self.stages):
            blocks = _blocks(shape, index, of_others if index else of_res2)
            self.add_module(stage, nn.Sequential(*blocks))
        if frozen:
            for first in ("stem", "res2"):
                self.get_submodule(first).requires_grad_(False)
        self.trained_stride = output_stride
        self.set_output_stride(output_stride)

    def set_output_stride(self, output_stride: int) -> None:
        """Compute features more or less densely with the trained weights (DeepLabV3, section 3.1).

        A convolution reaches as far, in image pixels, as in training, so its dilation grows as its
        input map gets finer: features at the cells that both strides have are the same. A stage's
        first block differs from the others, since its input has the stride before the stage's own:
        if it was trained undilated it stays so when the stride is removed.

        Raises:
            UserError: a Res2Net is to be dilated: its averages cannot be.
        """
        if self.cascaded and output_stride != 32:
            raise UserError(f"backbone.output_stride {output_stride}: {self.name} needs 32")
        self.output_stride = output_stride
        for index, name in enumerate(self.stages):
            trained_in, trained_out = _strides(index, self.trained_stride)
            now_in, now_out = _strides(index, output_stride)
            trained_dilation = _plain_stride(index) // trained_out
            blocks = list(getattr(self, name))
            grid = self.multi_grid if name == "res5" else (1,) * len(blocks)
            for number, (block, factor) in enumerate(zip(blocks, grid, strict=True)):
                inner = trained_dilation * factor * trained_out // now_out
                if number:
                    block.set_geometry(inner)
                else:
                    outer = trained_dilation * factor * trained_in // now_in
                    block.set_geometry(inner, stride=now_out // now_in, strided_dilation=outer)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Map images (N, 3, H, W) to `res2` ... `res5`, at strides 4, 8, 16, 32 or less."""
        features = {}
        x = self.stem(x)
        for name in self.stages:
            x = getattr(self, name)(x)
            features[name] = x
        return features


class Res5(nn.Sequential):
    """The stage that a trunk which ends with res4 leaves to the heads, on RoI features.

    Args:
        stride: of its first block; 2 as in a trunk.
    """

    def __init__(self, name: str, parts: BlockParts, *, stride: int) -> None:
        shape = TRUNKS[name]
        super().__init__(*_blocks(shape, STAGES.index("res5"), parts))
        self.out_channels = shape.channels[-1]
        first = self[0]
        assert isinstance(first, BasicBlock | BottleneckBlock | Res2NetBlock)
        first.set_geometry(1, stride=stride)


def _plain_stride(stage: int) -> int:
    """Return a stage's output stride where nothing is dilated."""
    return 4 * 2**stage


def _strides(stage: int, output_stride: int) -> tuple[int, int]:
    """Return the strides of a stage's input and output maps."""
    out = min(_plain_stride(stage), output_stride)
    return (min(_plain_stride(stage - 1), output_stride) if stage else out), out


def _blocks(
    shape: TrunkShape, index: int, parts: BlockParts
) -> Iterator[BasicBlock | BottleneckBlock | Res2NetBlock]:
    out_channels = shape.channels[index]
    in_channels = shape.channels[index - 1] if index else shape.stem_channels
    width, groups = shape.groups * shape.group_width * 2**index, shape.groups
    for number in range(shape.blocks[index]):
        ends = in_channels if number == 0 else out_channels, out_channels
        if groups == 0:
            yield BasicBlock(*ends, parts)
        elif shape.cascaded:
            is_first = number == 0
            yield Res2NetBlock(*ends, parts, width=width, scales=groups, is_first=is_first)
        else:
            yield BottleneckBlock(*ends, parts, width=width, groups=groups)
