"""Balanced feature pyramid (BFP; Libra R-CNN 1904.02701, section 3.2).

The levels are resized to that of p4 and averaged, the mean is refined by non-local blocks, and is
added back to each level at that level's size.

Source: what the winner of the 3D-FUTURE challenge trained, 3DFuture_ins_seg at commit 6caaf9cd:
necks/bfp.py and ops/non_local.py of its mmdetection. The last convolution of a block starts at zero
in the latter, but the former then gives all of them Xavier's weights; so do we.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.modeling.boxes import is_being_exported
from pointrend_repro.modeling.init import init_xavier

# Counted from the finest: p4 of p2 to p6.
_REFINED_LEVEL = 2

# Cells of p4 along a cell of p6, which is half of p5, rounded up.
_LARGEST_WINDOW = 5


class NonLocalBlock(nn.Module):
    """Adds to each cell what it attends to over the whole map (1711.07971, embedded Gaussian).

    Without a reduction of channels and, as in Libra R-CNN's code, without scaling the products.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.theta, self.phi, self.g, self.out = (nn.Conv2d(channels, channels, 1) for _ in "tpgo")
        init_xavier(self.theta, self.phi, self.g, self.out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        # As one head of attention, (N, 1, H * W, C): in this form torch's kernels never have all
        # H * W by H * W weights in memory, 240 MB for an image of 1400 x 1400. On a GPU torch takes
        # these kernels only if channels lie side by side, which those of its maps do not.
        query, key, value = (
            layer(x).flatten(2).transpose(1, 2).unsqueeze(1).contiguous()
            for layer in (self.theta, self.phi, self.g)
        )
        attended = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        refined: Tensor = x + self.out(attended.squeeze(1).transpose(1, 2).reshape(x.shape))
        return refined


class BalancedPyramid(nn.Module):
    """Refines the levels of a pyramid by their mean."""

    def __init__(self, channels: int, num_blocks: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(NonLocalBlock(channels) for _ in range(num_blocks)))

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Map levels (N, C, H, W), fine to coarse and at least three, to refined ones."""
        size = levels[_REFINED_LEVEL].shape[2:]
        mean = torch.stack([_resized(level, size) for level in levels]).mean(0)
        refined = self.blocks(mean)
        return [level + _resized(refined, level.shape[2:]) for level in levels]


def _resized(x: Tensor, size: torch.Size) -> Tensor:
    """Shrink a map by the largest of what a cell covers, or enlarge it by the nearest cell."""
    if x.shape[2] <= size[0]:
        return F.interpolate(x, size=list(size), mode="nearest")
    if is_being_exported():
        return _shrunk_in_graph(x, size)
    shrunk: Tensor = F.adaptive_max_pool2d(x, list(size))
    return shrunk


def _shrunk_in_graph(x: Tensor, size: torch.Size) -> Tensor:
    """Return what `adaptive_max_pool2d` does, which other runtimes do not have."""
    for axis, new in ((2, size[0]), (3, size[1])):
        old, cell = x.shape[axis], torch.arange(new, device=x.device)
        first, last = cell * old // new, ((cell + 1) * old + new - 1) // new - 1
        window = torch.arange(_LARGEST_WINDOW, device=x.device)
        covered = torch.minimum(first[:, None] + window, last[:, None])
        x = x.index_select(axis, covered.flatten()).unflatten(axis, covered.shape).amax(axis + 1)
    return x
