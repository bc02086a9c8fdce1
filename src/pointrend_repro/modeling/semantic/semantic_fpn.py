"""SemanticFPN's decoder: the levels of a feature pyramid, upsampled to the finest and summed.

Source: "Panoptic Feature Pyramid Networks" (1901.02446, section 3.1), with the details of
detectron2 (commit 02b5c4e2, modeling/meta_arch/semantic_seg.py).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.modeling.backbone import STRIDES
from pointrend_repro.modeling.init import init_msra
from pointrend_repro.modeling.semantic.losses import mean_cross_entropy
from pointrend_repro.modeling.semantic.upsampling import upsample
from pointrend_repro.settings.semantic import SemanticFPNSettings

_COARSEST_LEVEL = "p5"
_MAX_NORM_GROUPS = 32


class _ConvGroupNorm(nn.Conv2d):
    """A 3x3 convolution without bias, GN and a ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=False)
        # At least four channels per group, as 128 have: a single one has no spread on a 1x1 map.
        self.norm = nn.GroupNorm(min(_MAX_NORM_GROUPS, out_channels // 4), out_channels)
        init_msra(self)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.norm(super().forward(x)))


class _LevelHead(nn.Module):
    """Convolutions, each followed by a doubling, from a level's stride to the common one."""

    def __init__(self, in_channels: int, channels: int, doublings: int) -> None:
        super().__init__()
        self.doubles = doublings > 0
        self.convs = nn.ModuleList(
            _ConvGroupNorm(channels if i else in_channels, channels)
            for i in range(max(1, doublings))
        )

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = conv(x)
            if self.doubles:
                x = upsample(x, (2 * x.shape[2], 2 * x.shape[3]))
        return x


class SemanticFPNDecoder(nn.Module):
    """Predicts at the stride of its finest level; PointRend's fine-grained features are p2's."""

    fine_level = "p2"

    def __init__(self, in_channels: int, num_classes: int, settings: SemanticFPNSettings) -> None:
        super().__init__()
        names = list(STRIDES)
        levels = names[names.index(settings.finest_level) : names.index(_COARSEST_LEVEL) + 1]
        self.levels = nn.ModuleDict(
            {
                level: _LevelHead(in_channels, settings.channels, doublings)
                for doublings, level in enumerate(levels)
            }
        )
        self.predictor = nn.Conv2d(settings.channels, num_classes, 1)
        init_msra(self.predictor)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Return logits (N, K, H, W) at the resolution of the finest level."""
        return self.predict(self.hidden(features))

    def hidden(self, features: dict[str, Tensor]) -> Tensor:
        """Return the predictor's input, (N, C, H, W)."""
        total: Tensor = sum(head(features[level]) for level, head in self.levels.items())
        return total

    def predict(self, hidden: Tensor) -> Tensor:
        """Return logits (N, K, H, W) from `hidden`."""
        logits: Tensor = self.predictor(hidden)
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy of upsampled logits against label maps (N, H, W)."""
        return mean_cross_entropy(upsample(logits, (labels.shape[1], labels.shape[2])), labels)
