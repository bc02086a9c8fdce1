"""SOLOv2's head: classes and kernels of the cells of five grids, and the map of masks.

Source: the paper (2003.10152, sections 3.2 and 3.3) with the details of mmdetection 3.3
(`models/dense_heads/solov2_head.py`).
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.modeling.init import init_normal
from pointrend_repro.settings.solov2 import LEVELS, SoloHeadSettings

_NORM_GROUPS = 32
_STD = 0.01
_PRIOR = 0.01  # initial score of every class, as in the focal loss's paper
_MAP_LEVELS = 4  # p2 to p5


class CellOutputs(NamedTuple):
    """What the cells of a batch's grids predict.

    Attributes:
        logits: by level, (N, K, S, S), of the classes.
        kernels: by level, (N, D, S, S), the 1x1 convolutions that make masks.
        mask_map: (N, D, H / 4, W / 4), what they are applied to.
    """

    logits: list[Tensor]
    kernels: list[Tensor]
    mask_map: Tensor


class ConvGroupNorm(nn.Conv2d):
    """A convolution without bias, GN and a ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False
        )
        # At least four channels per group, as 128 have: a single one has no spread on a 1x1 map.
        groups = math.gcd(min(_NORM_GROUPS, max(1, out_channels // 4)), out_channels)
        self.norm = nn.GroupNorm(groups, out_channels)
        init_normal(self, std=_STD)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H, W)."""
        return F.relu_(self.norm(super().forward(x)))


class MaskMap(nn.Module):
    """Sums up the levels p2 to p5 at the stride of p2; p5 gets coordinates (section 3.3)."""

    def __init__(self, in_channels: int, settings: SoloHeadSettings) -> None:
        super().__init__()
        width = settings.map_channels
        self.levels = nn.ModuleList()
        for level in range(_MAP_LEVELS):
            first = in_channels + (2 if level == _MAP_LEVELS - 1 else 0)
            self.levels.append(
                nn.ModuleList(
                    ConvGroupNorm(width if i else first, width) for i in range(max(1, level))
                )
            )
        self.predictor = ConvGroupNorm(width, settings.kernel_channels, 1)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        """Map p2 to p5, and more, to (N, D, H / 4, W / 4)."""
        of_levels = []
        for level, convs in enumerate(self.levels):
            assert isinstance(convs, nn.ModuleList)
            x = pyramid[level]
            if level == _MAP_LEVELS - 1:
                x = with_coordinates(x)
            for conv in convs:
                x = conv(x)
                if level:
                    x = _resize(x, (2 * x.shape[2], 2 * x.shape[3]))
            of_levels.append(x)
        summed: Tensor = self.predictor(torch.stack(of_levels).sum(dim=0))
        return summed


class SoloHead(nn.Module):
    """The two towers, which all levels share, and the map of masks."""

    def __init__(self, in_channels: int, num_classes: int, settings: SoloHeadSettings) -> None:
        super().__init__()
        self.settings = settings
        width, layers = settings.channels, range(settings.tower_layers)
        self.kernel_tower = nn.ModuleList(
            ConvGroupNorm(width if i else in_channels + 2, width) for i in layers
        )
        self.class_tower = nn.ModuleList(
            ConvGroupNorm(width if i else in_channels, width) for i in layers
        )
        self.kernel_predictor = nn.Conv2d(width, settings.kernel_channels, 3, padding=1)
        self.class_predictor = nn.Conv2d(width, num_classes, 3, padding=1)
        self.mask_map = MaskMap(in_channels, settings)
        init_normal(self.kernel_predictor, self.class_predictor, std=_STD)
        bias = self.class_predictor.bias
        assert bias is not None
        nn.init.constant_(bias, math.log(_PRIOR / (1 - _PRIOR)))

    def forward(self, features: dict[str, Tensor]) -> CellOutputs:
        """Predict from the pyramid's maps p2 to p6, which cover the same area."""
        pyramid = [features[f"p{level}"] for level in range(2, 2 + LEVELS)]
        logits, kernels = [], []
        for level, grid in zip(_alike(pyramid), self.settings.grids, strict=True):
            cells = _resize(with_coordinates(level), (grid, grid))
            kernels.append(self.kernel_predictor(_through(self.kernel_tower, cells)))
            of_classes = _through(self.class_tower, cells[:, :-2])
            logits.append(self.class_predictor(of_classes))
        return CellOutputs(logits, kernels, self.mask_map(pyramid))


def with_coordinates(x: Tensor) -> Tensor:
    """Append x and y of each cell, from -1 at the first one's centre to 1 at the last one's.

    Args:
        x: (N, C, H, W).

    Returns:
        (N, C + 2, H, W).
    """
    n, _, height, width = x.shape
    along_x, along_y = (_from_edge_to_edge(side, x) for side in (width, height))
    y, x_ = torch.meshgrid(along_y, along_x, indexing="ij")
    return torch.cat([x, torch.stack([x_, y]).expand(n, 2, height, width)], dim=1)


def _from_edge_to_edge(side: int, like: Tensor) -> Tensor:
    # torch.linspace would fix the number of places in a graph.
    places = torch.arange(side, device=like.device, dtype=torch.float32)
    return (places * (2 / max(side - 1, 1)) - 1).to(like.dtype)


def _alike(pyramid: list[Tensor]) -> list[Tensor]:
    """Bring the finest level to the size of the next one, and the coarsest to that before it."""
    first = _resize(pyramid[0], _size(pyramid[1]))
    return [first, *pyramid[1:-1], _resize(pyramid[-1], _size(pyramid[-2]))]


def _through(tower: nn.ModuleList, x: Tensor) -> Tensor:
    for layer in tower:
        x = layer(x)
    return x


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[2], x.shape[3]  # not as numbers: a graph's sizes are not known yet
