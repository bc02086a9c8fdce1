"""VGG trunks (1409.1556): stages of 3x3 convolutions with a pooling between them.

The last pooling is left out: a detector pools its boxes' features in its place (Fast R-CNN
1504.08083, section 2.2), and DeepMask's heads come before it.
"""

from torch import Tensor, nn

# Convolutions between poolings of the configurations A and D (1409.1556, Table 1); of the narrow
# ones, which are for tests, the same at an eighth of the width.
_VGG = {
    "vgg11": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "vgg11_narrow": ((8,), (16,), (32, 32), (64, 64), (64, 64)),
    "vgg16": ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
    "vgg16_narrow": ((8, 8), (16, 16), (32, 32, 32), (64, 64, 64), (64, 64, 64)),
}

LAST_MAP = "conv5"


def is_vgg(name: str) -> bool:
    """Return whether a trunk is one of these."""
    return name in _VGG


class VGG(nn.Module):
    """The convolutions of a VGG; modules are numbered as in torchvision's.

    Args:
        ceil: a pooling rounds odd sides up, as Caffe does, and so sees their last row or column;
            otherwise down, as Torch7 does.
    """

    def __init__(self, name: str, *, ceil: bool = False) -> None:
        super().__init__()
        self.features = nn.Sequential()
        channels = 3
        widths = _VGG[name]
        for number, stage in enumerate(widths):
            if number:
                self.features.append(nn.MaxPool2d(2, ceil_mode=ceil))
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


class VGGTrunk(VGG):
    """A VGG as a detector sees it: one map of stride 16, conv5_3 of VGG-16.

    Sides are halved as in Caffe, for which Fast and Faster R-CNN were written: 600 pixels give 38
    cells, and an image of any size has one.

    Args:
        freeze_at: 2 leaves the stages conv1 and conv2 untrained (Fast R-CNN, section 4.5: "we
            update layers conv3_1 and up"), 0 trains all.
    """

    output_stride = 16

    def __init__(self, name: str, *, freeze_at: int) -> None:
        super().__init__(name, ceil=True)
        self.out_channels = self.map_channels[:1]
        if freeze_at >= 2:
            poolings = 0
            for layer in self.features:
                poolings += isinstance(layer, nn.MaxPool2d)
                layer.requires_grad_(poolings >= 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Map images (N, 3, H, W) to `conv5`, (N, C, ceil(H / 16), ceil(W / 16))."""
        for layer in self.features:
            x = layer(x)
        return {LAST_MAP: x}
