"""ResNet-FPN: from a list of images to the feature maps p2 to p6."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from pointrend_repro.modeling.resnet import ResNet
from pointrend_repro.settings import BackboneSettings

# Image pixels per cell of each feature map.
STRIDES = {"p2": 4, "p3": 8, "p4": 16, "p5": 32, "p6": 64}

# p2 to p5 halve exactly when the input's sides are multiples of this.
_SIZE_DIVISOR = 32


class FPNBackbone(nn.Module):
    """Normalises and pads a batch, and computes its feature pyramid (1612.03144).

    p6 is p5 at half the resolution (no weights), for the largest anchors only.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, settings: BackboneSettings) -> None:
        super().__init__()
        self.channels = settings.fpn_channels
        self.flip_channels = settings.channel_order == "BGR"
        self.bottom_up = ResNet(
            settings.name,
            norm=settings.norm,
            stride_in_1x1=settings.stride_in_1x1,
            freeze_at=settings.freeze_at,
        )
        self.fpn = FeaturePyramidNetwork(
            list(self.bottom_up.out_channels), settings.fpn_channels, LastLevelMaxPool()
        )
        self.register_buffer("pixel_mean", _column(settings.pixel_mean), persistent=False)
        self.register_buffer("pixel_std", _column(settings.pixel_std), persistent=False)

    def forward(self, images: list[Tensor]) -> dict[str, Tensor]:
        """Compute the feature maps of a batch.

        Args:
            images: N tensors (3, H_n, W_n), RGB, 0 to 255, uint8 or float.

        Returns:
            `p2` ... `p6`, each (N, C, H / stride, W / stride) for H and W the batch's largest
            sides, rounded up to a multiple of 32; images lie in the upper left corner.
        """
        batch = self._pad([self._normalise(image) for image in images])
        trunk = self.bottom_up(batch)
        maps = self.fpn(OrderedDict(trunk))
        return dict(zip(STRIDES, maps.values(), strict=True))

    def _normalise(self, image: Tensor) -> Tensor:
        image = image.to(self.pixel_mean.dtype)
        if self.flip_channels:
            image = image.flip(0)
        return (image - self.pixel_mean) / self.pixel_std

    @staticmethod
    def _pad(images: list[Tensor]) -> Tensor:
        """Stack into the upper left corners of one zero tensor: zero is the mean colour here."""
        height, width = (
            -(-max(i.shape[axis] for i in images) // _SIZE_DIVISOR) * _SIZE_DIVISOR
            for axis in (1, 2)
        )
        batch = images[0].new_zeros(len(images), 3, height, width)
        for slot, image in zip(batch, images, strict=True):
            slot[:, : image.shape[1], : image.shape[2]].copy_(image)
        return batch


def _column(values: tuple[float, float, float]) -> Tensor:
    return torch.tensor(values).view(3, 1, 1)
