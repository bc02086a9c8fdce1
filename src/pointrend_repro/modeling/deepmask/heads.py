"""DeepMask's heads: a mask and a score from the trunk's last map (section 4.2, Figure 3).

Everything is a convolution, which a fully connected layer is too: its kernel covers the window of a
patch. So one call serves a patch, with one output cell, and a whole image, with one for each place
of the window.

The paper shows the widths of heads A and B only in a drawing. Here they are those of the original
score branch: 512 numbers from the window, then the hidden layer that all heads share.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.settings.deepmask import DeepMaskModelSettings


class Bottleneck(nn.Module):
    """F channels by a 1x1 convolution, then 512 numbers for each window, without a ReLU."""

    def __init__(self, in_channels: int, settings: DeepMaskModelSettings) -> None:
        super().__init__()
        width = settings.feature_channels
        self.reduce = nn.Conv2d(in_channels, width, 1)
        self.low_rank = nn.Conv2d(width, settings.bottleneck_channels, settings.window)

    def forward(self, last: Tensor) -> tuple[Tensor, Tensor]:
        """Map the trunk's last map (N, C, h, w) to (N, F, h, w), and to a vector per window.

        Vectors are (N, 512, h - S + 1, w - S + 1); a window is named by its upper left cell.
        """
        reduced = F.relu(self.reduce(last))
        return reduced, self.low_rank(reduced)


class ScoreHead(nn.Module):
    """The logit that a window holds an object in its middle, of the right size.

    Head `c` takes the mask's vectors; `b` 512 numbers of its own from the features that the mask
    branch reduced; `a` reduces features for itself; `original` pools the trunk's map instead.
    """

    def __init__(self, in_channels: int, settings: DeepMaskModelSettings) -> None:
        super().__init__()
        self.kind = settings.head
        self.dropout = nn.Dropout(settings.dropout)
        width, vector, window = (
            settings.feature_channels,
            settings.bottleneck_channels,
            settings.window,
        )
        if self.kind == "a":
            self.own_reduce = nn.Conv2d(in_channels, width, 1)
        if self.kind == "original":
            self.aggregate = nn.Conv2d(in_channels, vector, window // 2, dilation=2)
        elif self.kind != "c":
            self.aggregate = nn.Conv2d(width, vector, window)
        self.hidden = nn.Conv2d(vector, settings.score_channels, 1)
        self.predict = nn.Conv2d(settings.score_channels, 1, 1)

    def forward(self, last: Tensor, reduced: Tensor, vectors: Tensor) -> Tensor:
        """Map the trunk's last map and `Bottleneck`'s outputs to logits (N, h - S + 1, w - S + 1).

        What the kind of head does not use may be anything.
        """
        x = self.dropout(self._aggregated(last, reduced, vectors))
        x = self.dropout(F.relu(self.hidden(x)))
        logits: Tensor = self.predict(x)
        return logits.squeeze(1)

    def _aggregated(self, last: Tensor, reduced: Tensor, vectors: Tensor) -> Tensor:
        if self.kind == "c":
            return vectors
        if self.kind == "a":
            reduced = F.relu(self.own_reduce(last))
        elif self.kind == "original":
            # Pooling at every cell, and a kernel that takes every second one, is what DeepMask's
            # "interleaving" computes: the patch's own result at each place of the window.
            reduced = F.max_pool2d(last, kernel_size=2, stride=1)
        return F.relu(self.aggregate(reduced))
