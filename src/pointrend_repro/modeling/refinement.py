"""SharpMask's refinement module (1603.08695, section 3.2 and Figure 7b).

Shared by the two models that refine masks top-down: `sharpmask` as a head of Mask R-CNN
(`modeling/mask_heads/sharpmask.py`), and the original SharpMask of image patches
(`modeling/deepmask/`).
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Upsampling = Literal["bilinear", "nearest"]


class SkipEncoder(nn.Sequential):
    """Makes S^i from a stage of the trunk (N, C, H, W), once for all boxes: (N, k_s, H, W)."""

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, hidden_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden_channels, out_channels, 3, padding=1),
            nn.ReLU(),
        )


class RefinementModule(nn.Module):
    """R^i in the form of Figure 7b: a convolution on M, one on S, and their sum.

    The sum equals one convolution on the concatenation of M and S, and needs one bias only.

    Args:
        skip_channels: of S^i; None: there is none, and only `merge` is called.
    """

    def __init__(
        self,
        mask_channels: int,
        skip_channels: int | None,
        out_channels: int,
        *,
        upsampling: Upsampling = "bilinear",
        skip_bias: bool = False,
    ) -> None:
        super().__init__()
        self.upsampling = upsampling
        self.conv_mask = nn.Conv2d(mask_channels, out_channels, 3, padding=1)
        if skip_channels is not None:
            self.conv_skip = nn.Conv2d(skip_channels, out_channels, 3, padding=1, bias=skip_bias)

    def forward(self, mask: Tensor, skip: Tensor) -> Tensor:
        """Map M^i and the S^i of its box, both (R, k, S, S), to M^(i+1) of (R, k', 2 S, 2 S)."""
        return self.merge(mask, self.conv_skip(skip))

    def merge(self, mask: Tensor, convolved_skip: Tensor | None) -> Tensor:
        """Map M^i and what `conv_skip` made of S^i to M^(i+1), of twice the side.

        Args:
            mask: M^i, (R, k, S, S).
            convolved_skip: (R, k', S, S); None: M^(i+1) is made of M^i alone.
        """
        merged = self.conv_mask(mask)
        if convolved_skip is not None:
            merged = merged + convolved_skip
        return upsampled(F.relu(merged), 2, self.upsampling)


def upsampled(maps: Tensor, factor: int, how: Upsampling) -> Tensor:
    """Enlarge maps (N, C, H, W) by a factor."""
    if how == "nearest":
        return F.interpolate(maps, scale_factor=factor, mode="nearest")
    return F.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=False)
