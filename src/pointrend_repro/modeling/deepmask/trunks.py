"""Trunks of DeepMask and SharpMask: VGG-A, and ResNets cut after some stages (section 4.1).

A trunk returns the map before each pooling, from coarse to fine ("we always use the last
convolutional layer prior to pooling", section 3.2): the features F^i of the refinement modules.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.modeling.resnet import TRUNKS, ResNet
from pointrend_repro.modeling.symmetric import pad_symmetrically
from pointrend_repro.settings.deepmask import PatchTrunkSettings

# Convolutions between poolings of VGG's configuration A (1409.1556, Table 1); of the narrow one,
# which is for tests, the same at an eighth of the width.
_VGG = {
    "vgg11": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "vgg11_narrow": ((8,), (16,), (32, 32), (64, 64), (64, 64)),
}


class CutResNet(ResNet):
    """A ResNet without the stages after its P-th halving: res4 is the last of P4, res3 of P3."""

    def __init__(self, settings: PatchTrunkSettings) -> None:
        super().__init__(
            settings.name, norm=settings.norm, stride_in_1x1=settings.stride_in_1x1, freeze_at=0
        )
        self.stages = ("res2", "res3", "res4")[: settings.pooling - 1]
        for name in {"res3", "res4", "res5"} - set(self.stages):
            delattr(self, name)
        stem = TRUNKS[settings.name].stem_channels
        self.map_channels = (stem, *self.out_channels[: len(self.stages)])[::-1]

    def maps(self, images: Tensor) -> list[Tensor]:
        """Map images (N, 3, H, W) to maps of strides 16, 8, 4 and 2 (P4), or 8, 4 and 2 (P3)."""
        x = F.relu_(self.stem.conv1(images))
        found = [x]
        x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        for name in self.stages:
            x = getattr(self, name)(x)
            found.append(x)
        return found[::-1]


class VGG(nn.Module):
    """The convolutions of VGG-A; modules are numbered as in torchvision's `vgg11`."""

    def __init__(self, settings: PatchTrunkSettings) -> None:
        super().__init__()
        self.features = nn.Sequential()
        channels = 3
        widths = _VGG[settings.name]
        for number, stage in enumerate(widths):
            if number:
                self.features.append(nn.MaxPool2d(2))
            for width in stage:
                self.features.extend([nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()])
                channels = width
        # The first stage's map, of stride 1, refines nothing: masks have that stride already.
        self.map_channels = tuple(stage[-1] for stage in widths[1:])[::-1]

    def maps(self, images: Tensor) -> list[Tensor]:
        """Map images (N, 3, H, W) to maps of strides 16, 8, 4 and 2."""
        found = []
        x = images
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                found.append(x)
            x = layer(x)
        return [*found, x][:0:-1]


def build_trunk(settings: PatchTrunkSettings) -> CutResNet | VGG:
    """Make the trunk that the settings describe, with random weights."""
    trunk: CutResNet | VGG
    trunk = VGG(settings) if settings.name in _VGG else CutResNet(settings)
    if settings.padding == "symmetric":
        pad_symmetrically(trunk)
    return trunk
