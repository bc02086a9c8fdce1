"""GC block: what a whole map holds, added to each of its cells.

Source: "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond" (1904.11492),
section 4.2; initial weights as in mmdetection 1.1 (mmdet/ops/context_block.py).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.modeling.init import init_msra, init_normal


class ContextBlock(nn.Module):
    """Attends to a map as a whole, and adds the result, through a bottleneck, to all its cells.

    A new block changes nothing: its last layer begins at zero.

    Args:
        channels: of the map.
        ratio: of the bottleneck's channels to these.

    Raises:
        UserError: the bottleneck would have no channel.
    """

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        inner = int(channels * ratio)
        if inner < 1:
            raise UserError(f"backbone.context_ratio {ratio}: leaves none of {channels} channels")
        self.attention = nn.Conv2d(channels, 1, 1)
        self.squeeze = nn.Conv2d(channels, inner, 1)
        self.norm = nn.LayerNorm([inner, 1, 1])
        self.expand = nn.Conv2d(inner, channels, 1)
        init_msra(self.attention, mode="fan_in")
        init_normal(self.expand, std=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        weights = self.attention(x).flatten(1).softmax(dim=1)  # (N, HW)
        context = (x.flatten(2) @ weights.unsqueeze(2)).unsqueeze(3)  # (N, C, 1, 1)
        return x + self.expand(F.relu_(self.norm(self.squeeze(context))))
