"""PointRend as a mask head (section 4): a light coarse head, and a point head that refines it.

Shapes: R boxes of all images, P points a box, K classes, C channels of p2. Points are
box-normalised (see `modeling.points`).
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.modeling.backbone import STRIDES
from pointrend_repro.modeling.init import init_msra, init_normal, init_xavier
from pointrend_repro.modeling.mask_heads.targets import grid_loss
from pointrend_repro.modeling.points import (
    binary_uncertainty,
    point_sample,
    point_sample_in_boxes,
    regular_grid,
    render_masks,
    sample_training_points,
)
from pointrend_repro.modeling.structures import Proposals, Target
from pointrend_repro.settings import InferenceSettings, PointRendHeadSettings

# "PointRend also interpolates a 256-dimensional feature vector from the P2 level of the FPN."
_LEVEL = "p2"
_HIDDEN_LAYERS = 3


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
        num_boxes = sum(len(b) for b in boxes)
        grid = regular_grid(side, side, device=boxes[0].device).expand(num_boxes, -1, -1)
        x = point_sample_in_boxes(features[_LEVEL], grid, boxes, stride=STRIDES[_LEVEL])
        return self.from_samples(x.reshape(num_boxes, x.shape[1], side, side))

    def from_samples(self, sampled: Tensor) -> Tensor:
        """Map features sampled over the boxes, (R, C, 2 M0, 2 M0), to logits (R, K, M0, M0)."""
        x = F.relu(self.reduce(sampled)).flatten(1)
        x = self.prediction(F.relu(self.fc2(F.relu(self.fc1(x)))))
        return x.view(len(sampled), self.num_classes, self.resolution, self.resolution)


class PointHead(nn.Module):
    """An MLP with weights shared by all points; the coarse prediction enters every layer."""

    def __init__(self, in_channels: int, num_classes: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d((width if i else in_channels) + num_classes, width, 1)
            for i in range(_HIDDEN_LAYERS)
        )
        self.predictor = nn.Conv1d(width + num_classes, num_classes, 1)
        init_msra(*self.layers)
        init_normal(self.predictor, std=0.001)

    def forward(self, fine: Tensor, coarse: Tensor, labels: Tensor) -> Tensor:
        """Predict each point's logit for its box's class, and for no other class.

        Args:
            fine: features (R, C, P).
            coarse: coarse logits of all classes (R, K, P).
            labels: (R,), classes.

        Returns:
            (R, P).
        """
        x = self.hidden(fine, coarse)
        weight = self.predictor.weight.squeeze(2)[labels].unsqueeze(1)
        assert self.predictor.bias is not None
        return torch.bmm(weight, x).squeeze(1) + self.predictor.bias[labels].unsqueeze(1)

    def hidden(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return what the predictor sees: the last layer's output beside the coarse logits."""
        x = fine
        for layer in self.layers:
            x = F.relu(layer(torch.cat([x, coarse], dim=1)))
        return torch.cat([x, coarse], dim=1)


class PointRendHead(nn.Module):
    """The paper's mask head: coarse 7x7, then point by point up to the output resolution."""

    def __init__(self, in_channels: int, num_classes: int, settings: PointRendHeadSettings) -> None:
        super().__init__()
        self.settings = settings
        self.train_on_refined_boxes = settings.train_on_refined_boxes
        self.coarse_head = CoarseHead(in_channels, num_classes, settings)
        self.point_head = PointHead(in_channels, num_classes, settings.point_channels)

    def losses(
        self, features: dict[str, Tensor], proposals: list[Proposals], targets: list[Target]
    ) -> dict[str, Tensor]:
        """Return `loss_mask` of the coarse head and `loss_mask_point` of the point head."""
        boxes = [p.boxes for p in proposals]
        labels = torch.cat([p.labels for p in proposals])
        coarse = self.coarse_head(features, boxes)
        points = self._training_points(coarse, labels)
        logits = self._point_logits(features, boxes, labels, coarse, points)
        return {
            "loss_mask": grid_loss(coarse, labels, proposals, targets),
            "loss_mask_point": self._point_loss(logits, points, proposals, targets),
        }

    def predict(
        self,
        features: dict[str, Tensor],
        boxes: list[Tensor],
        labels: list[Tensor],
        settings: InferenceSettings,
    ) -> Tensor:
        """Return mask logits (R, M, M) of each box's class, by adaptive subdivision."""
        coarse, predict_points = self.prepare(features, boxes, labels)
        return render_masks(
            coarse,
            predict_points,
            output_resolution=settings.output_resolution,
            points_per_step=settings.points_per_step,
        )

    def prepare(
        self, features: dict[str, Tensor], boxes: list[Tensor], labels: list[Tensor]
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Return what rendering starts from and asks, both for each box's own class.

        Returns:
            The coarse logits (R, M0, M0), and a function from points (R, P, 2), box-normalised,
            to logits (R, P).
        """
        classes = torch.cat(labels)
        coarse = self.coarse_head(features, boxes)

        def predict_points(points: Tensor) -> Tensor:
            return self._point_logits(features, boxes, classes, coarse, points)

        return _own_class(coarse, classes), predict_points

    def _training_points(self, coarse: Tensor, labels: Tensor) -> Tensor:
        if self.settings.train_selection == "regular_grid":
            side = math.isqrt(self.settings.train_points)
            return regular_grid(side, side, device=coarse.device).expand(len(labels), -1, -1)
        own = _own_class(coarse, labels).unsqueeze(1)
        return sample_training_points(
            lambda points: binary_uncertainty(point_sample(own, points)).squeeze(1),
            len(labels),
            self.settings.train_points,
            oversample_ratio=self.settings.oversample_ratio,
            importance_ratio=self.settings.importance_ratio,
            device=coarse.device,
        )

    def _point_logits(
        self,
        features: dict[str, Tensor],
        boxes: list[Tensor],
        labels: Tensor,
        coarse: Tensor,
        points: Tensor,
    ) -> Tensor:
        """Return logits (R, P) of each box's class: the one way to them, in training or not."""
        fine = point_sample_in_boxes(features[_LEVEL], points, boxes, stride=STRIDES[_LEVEL])
        logits: Tensor = self.point_head(fine, point_sample(coarse, points), labels)
        return logits

    def _point_loss(
        self, logits: Tensor, points: Tensor, proposals: list[Proposals], targets: list[Target]
    ) -> Tensor:
        """Binary cross-entropy against the masks interpolated at the points (soft labels)."""
        if len(logits) == 0:  # keep the graph, so that every parameter has a gradient
            return logits.sum()
        wanted = _masks_at_points(points, proposals, targets)
        loss = F.binary_cross_entropy_with_logits(logits, wanted)
        return loss * logits.shape[1] if self.settings.point_loss == "sum" else loss


def _own_class(logits: Tensor, labels: Tensor) -> Tensor:
    """Return each box's logits (R, H, W) of its own class, from (R, K, H, W)."""
    return logits[torch.arange(len(labels), device=labels.device), labels]


def _masks_at_points(points: Tensor, proposals: list[Proposals], targets: list[Target]) -> Tensor:
    """Return the matched ground-truth masks at box-normalised points, (R, P) in [0, 1]."""
    values = []
    parts = points.split([len(p.boxes) for p in proposals])
    for part, proposal, target in zip(parts, proposals, targets, strict=True):
        # A box at a time: a copy of a full-size mask per box would be the largest thing in memory.
        for one_box, box, index in zip(part, proposal.boxes, proposal.matched, strict=True):
            mask = target.masks[index].to(points.dtype)[None, None]
            values.append(point_sample_in_boxes(mask, one_box[None], [box[None]], stride=1.0)[:, 0])
    return torch.cat(values)
