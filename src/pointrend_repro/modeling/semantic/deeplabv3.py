"""DeepLabV3's decoder: atrous spatial pyramid pooling on res5, and a 1x1 prediction.

Source: "Rethinking Atrous Convolution" (1706.05587, section 3.3), with the details of detectron2
(commit 02b5c4e2, projects/DeepLab and layers/aspp.py) with which it reports its mIoU.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.modeling.conv_norm import ConvNorm
from pointrend_repro.modeling.init import init_normal, init_xavier
from pointrend_repro.modeling.semantic.losses import hard_pixel_cross_entropy, mean_cross_entropy
from pointrend_repro.modeling.semantic.upsampling import upsample
from pointrend_repro.settings.semantic import DeepLabV3Settings

# The output stride for which ASPP's dilations are given.
_PLAIN_STRIDE = 16


class ASPP(nn.Module):
    """A 1x1 convolution, three dilated ones and image pooling, side by side, then projected."""

    def __init__(self, in_channels: int, settings: DeepLabV3Settings) -> None:
        super().__init__()
        self.settings = settings
        channels, norm = settings.channels, settings.norm
        self.convs = nn.ModuleList(
            ConvNorm(in_channels, channels, side, norm=norm) for side in (1, 3, 3, 3)
        )
        # No norm: in training this branch has one value per image and channel.
        self.image_pooling = nn.Conv2d(in_channels, channels, 1)
        self.project = ConvNorm(5 * channels, channels, 1, norm=norm)
        init_xavier(*self.convs, self.image_pooling, self.project)
        self.set_output_stride(_PLAIN_STRIDE)

    def set_output_stride(self, output_stride: int) -> None:
        """Keep dilations and the pooling window the same in image pixels."""
        self.output_stride = output_stride
        for conv, dilation in zip(self.convs[1:], self.settings.aspp_dilations, strict=True):
            assert isinstance(conv, ConvNorm)
            conv.set_geometry(1, dilation * _PLAIN_STRIDE // output_stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H, W)."""
        pooled = F.relu_(self.image_pooling(self._window_means(x)))
        branches = [F.relu_(conv(x)) for conv in self.convs]
        branches.append(upsample(pooled, (x.shape[2], x.shape[3])))
        projected: Tensor = F.relu_(self.project(torch.cat(branches, dim=1)))
        return projected

    def _window_means(self, x: Tensor) -> Tensor:
        """Average over a window that slides by one cell and is no larger than the map.

        Rows first and columns after: the same means, at a cost of the sum of the window's sides
        instead of their product.
        """
        height, width = x.shape[2:]
        if self.settings.image_pooling_px is not None:
            window = [max(1, side // self.output_stride) for side in self.settings.image_pooling_px]
            height, width = min(height, window[0]), min(width, window[1])
        rows = F.avg_pool2d(x, (height, 1), stride=1)
        return F.avg_pool2d(rows, (1, width), stride=1)


class DeepLabV3Decoder(nn.Module):
    """ASPP and the prediction; PointRend takes its fine-grained features from res2."""

    fine_level = "res2"

    def __init__(self, in_channels: int, num_classes: int, settings: DeepLabV3Settings) -> None:
        super().__init__()
        self.hard_pixel_fraction = settings.hard_pixel_fraction
        self.aspp = ASPP(in_channels, settings)
        self.dropout = nn.Dropout(settings.dropout)
        self.predictor = nn.Conv2d(settings.channels, num_classes, 1)
        init_normal(self.predictor, std=0.001)

    def set_output_stride(self, output_stride: int) -> None:
        """Follow a change of the trunk's output stride (DeepLabV3: rates double at 8)."""
        self.aspp.set_output_stride(output_stride)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Return logits (N, K, H, W) at the resolution of res5."""
        return self.predict(self.hidden(features))

    def hidden(self, features: dict[str, Tensor]) -> Tensor:
        """Return the predictor's input, (N, C, H, W): the last that batch statistics affect."""
        hidden: Tensor = self.aspp(features["res5"])
        return hidden

    def predict(self, hidden: Tensor) -> Tensor:
        """Return logits (N, K, H, W) from `hidden`."""
        logits: Tensor = self.predictor(self.dropout(hidden))
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of upsampled logits against label maps (N, H, W)."""
        large = upsample(logits, (labels.shape[1], labels.shape[2]))
        if self.hard_pixel_fraction is None:
            return mean_cross_entropy(large, labels)
        return hard_pixel_cross_entropy(large, labels, self.hard_pixel_fraction)
