"""Backbones: from a list of images to feature maps, of a trunk alone or with a feature pyramid."""

from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from pointrend_repro.base.errors import UserError
from pointrend_repro.modeling.balancing import BalancedPyramid
from pointrend_repro.modeling.resnet import ResNet
from pointrend_repro.modeling.vgg import LAST_MAP, VGGTrunk, is_vgg
from pointrend_repro.settings.backbone import BackboneSettings

# Image pixels per cell of each feature map.
STRIDES = {"p2": 4, "p3": 8, "p4": 16, "p5": 32, "p6": 64}
PYRAMID_STRIDES = {name: STRIDES[name] for name in ("p2", "p3", "p4", "p5")}  # for boxes
TRUNK_STRIDES = {"res2": 4, "res3": 8, "res4": 16, "res5": 32}  # of a trunk under a pyramid


class TrunkBackbone(nn.Module):
    """Normalises and pads a batch, and computes the features of a trunk's stages."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, settings: BackboneSettings, last: str = "res5") -> None:
        """Make a trunk with random weights; `last` is the last stage that it has.

        Raises:
            UserError: it is a VGG, which has no such stage.
        """
        super().__init__()
        self.flip_channels = settings.channel_order == "BGR"
        self.bottom_up = _trunk(settings, last)
        self.register_buffer("pixel_mean", _column(settings.pixel_mean), persistent=False)
        self.register_buffer("pixel_std", _column(settings.pixel_std), persistent=False)

    def forward(self, images: list[Tensor]) -> dict[str, Tensor]:
        """Compute the feature maps of a batch.

        Args:
            images: N tensors (3, H_n, W_n), RGB, 0 to 255, uint8 or float.

        Returns:
            `res2` ... `res5`, each (N, C, H / stride, W / stride) for H and W the batch's
            `padded_size`; images lie in the upper left corner.
        """
        features: dict[str, Tensor] = self.bottom_up(self._batch(images))
        return features

    def padded_size(self, images: list[Tensor]) -> tuple[int, int]:
        """Return a batch's largest height and width, rounded up so that every stage halves exactly.

        All feature maps then cover exactly the same area, and a box-normalised point is the same
        place in each.
        """
        divisor = self.bottom_up.output_stride
        height, width = (
            -(-max(int(i.shape[axis]) for i in images) // divisor) * divisor for axis in (1, 2)
        )
        return height, width

    def _batch(self, images: list[Tensor]) -> Tensor:
        """Stack images into the upper left corners of a zero tensor: zero is the mean colour here.

        On a CPU the batch is channels-last, and so are all maps computed from it: convolutions need
        not rearrange them, and sampling at points or in boxes reads all channels of a cell at once.
        """
        normal = [self._normalise(image) for image in images]
        batch = normal[0].new_zeros(len(images), 3, *self.padded_size(images))
        if batch.device.type == "cpu":
            batch = batch.contiguous(memory_format=torch.channels_last)
        for slot, image in zip(batch, normal, strict=True):
            slot[:, : image.shape[1], : image.shape[2]].copy_(image)
        return batch

    def _normalise(self, image: Tensor) -> Tensor:
        image = image.to(self.pixel_mean.dtype)
        if self.flip_channels:
            image = image.flip(0)
        return (image - self.pixel_mean) / self.pixel_std


class FPNBackbone(TrunkBackbone):
    """A trunk and its feature pyramid (1612.03144).

    p6 is p5 at half the resolution (no weights), for the largest anchors and for heads that ask
    for it. With `balancing_blocks`, all five levels are balanced (`modeling.balancing`).

    Attributes:
        channels: of p2 to p6.
        strides: image pixels per cell of each map on which boxes are proposed.
        roi_strides: the same of each map from which boxes are cropped, fine to coarse.

    Raises:
        UserError: the trunk is dilated, so p2 to p5 would not halve.
    """

    def __init__(self, settings: BackboneSettings) -> None:
        if settings.output_stride != STRIDES["p5"]:
            raise UserError(
                f"backbone.output_stride {settings.output_stride}: a feature pyramid needs 32"
            )
        super().__init__(settings)
        self.channels = settings.fpn_channels
        self.strides = STRIDES
        self.roi_strides = PYRAMID_STRIDES
        self.fpn = FeaturePyramidNetwork(
            list(self.bottom_up.out_channels), settings.fpn_channels, LastLevelMaxPool()
        )
        self.balance = (
            BalancedPyramid(settings.fpn_channels, settings.balancing_blocks)
            if settings.balancing_blocks
            else None
        )

    def forward(self, images: list[Tensor]) -> dict[str, Tensor]:
        """Compute the feature maps of a batch.

        Args:
            images: N tensors (3, H_n, W_n), RGB, 0 to 255, uint8 or float.

        Returns:
            `p2` ... `p6`, and the trunk's `res2` ... `res5`, each (N, C, H / stride, W / stride)
            for H and W the batch's largest sides, rounded up to a multiple of 32; images lie in
            the upper left corner.
        """
        return self.with_pyramid(super().forward(images))

    def with_pyramid(self, trunk: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the maps of a trunk, and `p2` ... `p6`, which are computed from them."""
        levels = list(self.fpn(OrderedDict(trunk)).values())
        if self.balance is not None:
            levels = self.balance(levels)
        return trunk | dict(zip(STRIDES, levels, strict=True))


class OneMapBackbone(TrunkBackbone):
    """A trunk whose last map is the only one: C4 with `last` res4, C5 with res5, or a VGG's conv5.

    Batches are not padded to whole cells, as in detectron2: no map has to fit another.

    Attributes:
        channels, strides, roi_strides: as of `FPNBackbone`, of one map.
    """

    def __init__(self, settings: BackboneSettings, last: str) -> None:
        super().__init__(settings, last)
        trunk = self.bottom_up
        self.channels = trunk.out_channels[-1]
        stride = trunk.output_stride
        self.strides = {last: min(TRUNK_STRIDES.get(last, stride), stride)}
        self.roi_strides = self.strides

    def forward(self, images: list[Tensor]) -> dict[str, Tensor]:
        """Compute the map of a batch, the last of those of `TrunkBackbone`, under its name."""
        trunk = super().forward(images)
        return {name: trunk[name] for name in self.strides}

    def padded_size(self, images: list[Tensor]) -> tuple[int, int]:
        """Return a batch's largest height and width."""
        height, width = (max(int(i.shape[axis]) for i in images) for axis in (1, 2))
        return height, width


DetectorBackbone = FPNBackbone | OneMapBackbone


def build_backbone(
    settings: BackboneSettings, features: Literal["fpn", "c4", "c5"]
) -> DetectorBackbone:
    """Make the backbone of a detector that `ModelSettings.features` names."""
    if features == "fpn":
        return FPNBackbone(settings)
    if features == "c5" and is_vgg(settings.name):
        return OneMapBackbone(settings, LAST_MAP)
    return OneMapBackbone(settings, {"c4": "res4", "c5": "res5"}[features])


def _trunk(settings: BackboneSettings, last: str) -> ResNet | VGGTrunk:
    if is_vgg(settings.name):
        if last != LAST_MAP:
            raise UserError(
                f"backbone.name {settings.name}: has one map, which only detectors with "
                "features: c5 can use"
            )
        return VGGTrunk(settings.name, freeze_at=settings.freeze_at)
    return ResNet(
        settings.name,
        norm=settings.norm,
        stride_in_1x1=settings.stride_in_1x1,
        freeze_at=settings.freeze_at,
        output_stride=settings.output_stride,
        multi_grid=settings.multi_grid,
        last=last,
        deformable=settings.deformable,
        context_ratio=settings.context_ratio,
    )


def _column(values: tuple[float, float, float]) -> Tensor:
    return torch.tensor(values).view(3, 1, 1)
