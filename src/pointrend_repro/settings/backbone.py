"""The trunk that a model begins with, whatever its family.

Sources are cited as in `instances.py`. This module imports neither torch nor Snakemake.
"""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from pointrend_repro.settings.identity import added
from pointrend_repro.settings.values import Deviation, PositiveInt, Strict


class BackboneSettings(Strict):
    """ResNet trunk, its FPN if the model has one, and the pixels its weights were trained on.

    Of a VGG (Fast R-CNN) there is the last map, conv5, without a pyramid and without norms: of
    what follows, only `freeze_at`, `weights` and the pixels concern it.
    """

    name: Literal[
        "resnet18_narrow",
        "resnet50_narrow",
        "resnext50_narrow",
        "res2net50_narrow",
        "resnet50",
        "resnet101",
        "resnet103",
        "resnext101_32x8d",
        "resnext101_64x4d",
        "res2net101",
        "vgg16",
        "vgg16_narrow",
    ]
    stride_in_1x1: bool = Field(True, description="MSRA weights: the stride is in the 1x1 conv")
    norm: Literal["frozen_bn", "fixed_statistics_bn", "bn", "sync_bn", "gn"] = Field(
        "frozen_bn",
        description="paper: BN frozen, for DeepLabV3 BN over the batch of all devices (sync_bn); "
        "fixed_statistics_bn: only scale and shift are trained (3D-FUTURE report); gn for training "
        "from scratch",
    )
    freeze_at: Literal[0, 2] = Field(
        2, description="d2: 2, stem and res2 are not trained; 0 for semantic models"
    )
    output_stride: Literal[8, 16, 32] = Field(
        32, description="image pixels per cell of res5; 16 dilates res5, 8 res4 too"
    )
    multi_grid: tuple[PositiveInt, ...] = Field(
        (), description="factors of the dilations of the res5 blocks; d2's DeepLabV3: 1, 2, 4"
    )
    fpn_channels: PositiveInt = 256
    channel_order: Literal["RGB", "BGR"] = "BGR"
    pixel_mean: tuple[FiniteFloat, FiniteFloat, FiniteFloat] = Field(
        (103.530, 116.280, 123.675), description="in `channel_order`, of 0..255"
    )
    pixel_std: tuple[Deviation, Deviation, Deviation] = (1.0, 1.0, 1.0)
    weights: str | None = Field(None, description="ImageNet weights to start from; none: random")
    deformable: bool = added(
        False,
        "DCN: the 3x3 convolutions of res3 to res5 sample at learnt offsets (3D-FUTURE report)",
    )
    context_ratio: Annotated[float, Field(gt=0, le=1)] | None = added(
        None,
        "GC block: its inner channels as a share of a block's outputs, after the last convolution "
        "of each block of res3 to res5; none: no such block",
    )
    balancing_blocks: Annotated[int, Field(ge=0)] = added(
        0, "BFP: non-local blocks that refine the mean of the pyramid's levels; 0: no BFP"
    )
