"""PointRend's coarse head: a lightweight mask of every class in every box (section 4).

Shapes: R boxes of all images, K classes, C channels of p2.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.modeling.backbone import STRIDES
from pointrend_repro.modeling.init import init_msra, init_normal, init_xavier
from pointrend_repro.modeling.points import regular_grid
from pointrend_repro.modeling.rows import sample_rows_in_boxes
from pointrend_repro.settings.heads import PointRendHeadSettings

# "PointRend also interpolates a 256-dimensional feature vector from the P2 level of the FPN."
FINE_LEVEL = "p2"


class CoarseHead(nn.Module):
    """Predicts an M0 x M0 mask for every class from a regular grid of 2 M0 x 2 M0 points on p2."""

    def __init__(self, in_channels: int, num_classes: int, settings: PointRendHeadSettings) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.resolution = settings.coarse_resolution
        hidden = settings.coarse_channels
        self.reduce = nn.Conv2d(in_channels, in_channels, kernel_size=2, stride=2)
        self.fc1 = nn.Linear(in_channels * self.resolution**2, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.prediction = nn.Linear(hidden, num_classes * self.resolution**2)
        init_msra(self.reduce)
        init_xavier(self.fc1, self.fc2)
        init_normal(self.prediction, std=0.001)

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """Return logits (R, K, M0, M0)."""
        side = 2 * self.resolution
        num_boxes = sum(b.shape[0] for b in boxes)
        grid = regular_grid(side, side, device=boxes[0].device).expand(num_boxes, -1, -1)
        x = sample_rows_in_boxes(features[FINE_LEVEL], grid, boxes, stride=STRIDES[FINE_LEVEL])
        return self.from_samples(x.view(num_boxes, side, side, x.shape[1]).permute(0, 3, 1, 2))

    def from_samples(self, sampled: Tensor) -> Tensor:
        """Map features sampled over the boxes, (R, C, 2 M0, 2 M0), to logits (R, K, M0, M0)."""
        x = F.relu(self.reduce(sampled)).flatten(1)
        x = self.prediction(F.relu(self.fc2(F.relu(self.fc1(x)))))
        return x.view(sampled.shape[0], self.num_classes, self.resolution, self.resolution)
