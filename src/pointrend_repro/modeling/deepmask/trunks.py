"""Trunks of DeepMask and SharpMask: VGG-A, and ResNets cut after some stages (section 4.1).

A trunk returns the map before each pooling, from coarse to fine ("we always use the last
convolutional layer prior to pooling", section 3.2): the features F^i of the refinement modules.
"""

import torch.nn.functional as F
from torch import Tensor

from pointrend_repro.modeling.resnet import TRUNKS, ResNet
from pointrend_repro.modeling.symmetric import pad_symmetrically
from pointrend_repro.modeling.vgg import VGG, is_vgg
from pointrend_repro.settings.deepmask import PatchTrunkSettings


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


def build_trunk(settings: PatchTrunkSettings) -> CutResNet | VGG:
    """Make the trunk that the settings describe, with random weights."""
    trunk: CutResNet | VGG
    trunk = VGG(settings.name) if is_vgg(settings.name) else CutResNet(settings)
    if settings.padding == "symmetric":
        pad_symmetrically(trunk)
    return trunk
