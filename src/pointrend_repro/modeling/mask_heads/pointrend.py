"""PointRend as a mask head (section 4): a lightweight coarse head, refined by a point head.

Shapes: R boxes of all images, P points per box, K classes. Points are box-normalised (see
`modeling.points`).
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.boxes import is_being_exported
from pointrend_repro.modeling.levels import (
    PointLayer,
    linear_at_points,
    sample_levels_in_graph,
)
from pointrend_repro.modeling.mask_heads.coarse_head import CoarseHead
from pointrend_repro.modeling.mask_heads.point_head import PointHead
from pointrend_repro.modeling.mask_heads.targets import grid_loss, of_class
from pointrend_repro.modeling.points import (
    binary_uncertainty,
    point_sample,
    point_sample_in_boxes,
    regular_grid,
    render_masks,
    sample_training_points,
)
from pointrend_repro.modeling.precision import float32_inside
from pointrend_repro.modeling.steps import rendered_steps
from pointrend_repro.settings.heads import PointRendHeadSettings
from pointrend_repro.settings.instances import InferenceSettings

# How many points have their features in memory at once: a few MB per thread, which fit a CPU's
# cache, and enough to keep a GPU busy.
_POINTS_A_THREAD = 2**12
_POINTS_A_GPU = 2**17

# How many boxes share one read of the coarse head's weights, which take 70 MB.
_COARSE_BOXES_AT_A_TIME = 128


class PointRendHead(nn.Module):
    """The paper's mask head: coarse 7x7, then point by point up to the output resolution."""

    def __init__(self, in_channels: int, num_classes: int, settings: PointRendHeadSettings) -> None:
        super().__init__()
        self.settings = settings
        self.train_on_refined_boxes = settings.train_on_refined_boxes
        self.coarse_head = CoarseHead(in_channels, num_classes, settings)
        self.point_head = PointHead(
            in_channels * len(settings.levels),
            num_classes,
            settings.point_channels,
            settings.point_layers,
        )

    @float32_inside
    def losses(
        self, features: dict[str, Tensor], proposals: list[Proposals], targets: list[Target]
    ) -> dict[str, Tensor]:
        """Return `loss_mask` of the coarse head and `loss_mask_point` of the point head.

        Args:
            features: maps by name, each (N, C, H, W), float32.
            proposals: N images' foreground boxes, R in all, xyxy in image pixels. Coarse logits are
                (R, K, M0, M0), those of the point head (R, P), of each box's class.
            targets: N images' objects, with masks at the size of the image.
        """
        boxes = [p.boxes for p in proposals]
        labels = torch.cat([p.labels for p in proposals])
        coarse = self.coarse_head(features, boxes)
        points = self._training_points(coarse, labels)
        fine_layer = self._fine_layer(features, points.shape[0] * points.shape[1])
        logits = self._point_logits(fine_layer, boxes, labels, coarse)(points)
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
        """Return mask logits (R, M, M) of each box's class, by adaptive subdivision.

        A few boxes at a time: what is computed at their points fits a cache, and memory does not
        grow with the number of boxes.
        """
        if is_being_exported():
            return self._predict_in_graph(features, boxes, labels, settings)
        resolution, points_per_step = settings.output_resolution, settings.points_per_step
        steps = rendered_steps(self.coarse_head.resolution, resolution, points_per_step)
        classes = torch.cat(labels)
        fine_layer = self._fine_layer(features, sum(count for _, count in steps) * len(classes))
        coarse_in = self.coarse_head.on(features, len(classes))
        coarse = torch.cat(
            [
                coarse_in(_boxes_in(boxes, part))
                for part in _parts(len(classes), _COARSE_BOXES_AT_A_TIME)
            ]
        ).float()  # all at points is float32, whatever the trunk computes in
        masks = coarse.new_empty(len(classes), resolution, resolution)
        at_a_time = max(
            1, _points_at_a_time(coarse.device) // max((n for _, n in steps), default=1)
        )
        for part in _parts(len(classes), at_a_time):
            masks[part] = render_masks(
                of_class(coarse[part], classes[part]),
                self._point_logits(fine_layer, _boxes_in(boxes, part), classes[part], coarse[part]),
                output_resolution=resolution,
                points_per_step=points_per_step,
            )
        return masks

    def _predict_in_graph(
        self,
        features: dict[str, Tensor],
        boxes: list[Tensor],
        labels: list[Tensor],
        settings: InferenceSettings,
    ) -> Tensor:
        """Return the masks of `predict`, all boxes at once and layer by layer.

        A graph for any number of boxes cannot loop over them, and other runtimes support
        `grid_sample` but not the lookups of `modeling.rows`.
        """
        classes = torch.cat(labels)
        coarse = self.coarse_head(features, boxes)

        def logits_at(points: Tensor) -> Tensor:
            fine = sample_levels_in_graph(self._levels_of(features), points, boxes)
            hidden = self.point_head.hidden(fine, point_sample(coarse, points))
            return of_class(self.point_head.predictor(hidden), classes)

        return render_masks(
            of_class(coarse, classes),
            logits_at,
            output_resolution=settings.output_resolution,
            points_per_step=settings.points_per_step,
        )

    def prepare(
        self, features: dict[str, Tensor], boxes: list[Tensor], labels: list[Tensor]
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Return the coarse logits and the point predictor to render with, for each box's class.

        Returns:
            The coarse logits (R, M0, M0), and a function from points (R, P, 2), box-normalised,
            to logits (R, P).
        """
        classes = torch.cat(labels)
        coarse = self.coarse_head(features, boxes)
        fine_layer = self._fine_layer(features, num_points=0)
        predict_points = self._point_logits(fine_layer, boxes, classes, coarse)
        return of_class(coarse, classes), predict_points

    def _training_points(self, coarse: Tensor, labels: Tensor) -> Tensor:
        if self.settings.train_selection == "regular_grid":
            side = math.isqrt(self.settings.train_points)
            return regular_grid(side, side, device=coarse.device).expand(len(labels), -1, -1)
        own = of_class(coarse, labels).unsqueeze(1)
        return sample_training_points(
            lambda points: binary_uncertainty(point_sample(own, points)).squeeze(1),
            len(labels),
            self.settings.train_points,
            oversample_ratio=self.settings.oversample_ratio,
            importance_ratio=self.settings.importance_ratio,
            device=coarse.device,
        )

    def _levels_of(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {level: features[level] for level in self.settings.levels}

    def _fine_layer(self, features: dict[str, Tensor], num_points: int) -> PointLayer:
        """Return the function that applies the point head's first layer to its levels at points."""
        return linear_at_points(self._levels_of(features), self.point_head.fine_weight, num_points)

    def _point_logits(
        self, fine_layer: PointLayer, boxes: list[Tensor], labels: Tensor, coarse: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """Return the function from points (R, P, 2) to logits (R, P), in training and inference."""
        projected = self.point_head.project_coarse(coarse, labels)

        def logits_at(points: Tensor) -> Tensor:
            logits: Tensor = self.point_head(fine_layer(points, boxes), projected, points)
            return logits

        return logits_at

    def _point_loss(
        self, logits: Tensor, points: Tensor, proposals: list[Proposals], targets: list[Target]
    ) -> Tensor:
        """Return the cross-entropy against masks interpolated at the points (soft labels)."""
        if len(logits) == 0:  # keep the graph, so that every parameter has a gradient
            return logits.sum()
        target = _masks_at_points(points, proposals, targets)
        loss = F.binary_cross_entropy_with_logits(logits, target)
        return loss * logits.shape[1] if self.settings.point_loss == "sum" else loss


def _points_at_a_time(device: torch.device) -> int:
    if device.type == "cpu":
        return _POINTS_A_THREAD * torch.get_num_threads()
    return _POINTS_A_GPU


def _parts(count: int, at_a_time: int) -> list[slice]:
    """Return slices that cover a range; for an empty range, one empty slice."""
    return [slice(i, min(i + at_a_time, count)) for i in range(0, max(count, 1), at_a_time)]


def _boxes_in(boxes: list[Tensor], part: slice) -> list[Tensor]:
    """Return the boxes in a slice of all images' boxes, still one tensor per image."""
    first, last = part.start, part.stop
    parts = []
    for of_image in boxes:
        parts.append(of_image[max(first, 0) : max(last, 0)])
        first, last = first - len(of_image), last - len(of_image)
    return parts


def _masks_at_points(points: Tensor, proposals: list[Proposals], targets: list[Target]) -> Tensor:
    """Return the matched ground-truth masks at box-normalised points, (R, P) in [0, 1]."""
    values = []
    parts = points.split([len(p.boxes) for p in proposals])
    for part, proposal, target in zip(parts, proposals, targets, strict=True):
        # One box at a time: copies of the full-size masks would be the largest thing in memory.
        for one_box, box, index in zip(part, proposal.boxes, proposal.matched, strict=True):
            mask = target.masks[index].to(points.dtype)[None, None]
            values.append(point_sample_in_boxes(mask, one_box[None], [box[None]], stride=1.0)[:, 0])
    return torch.cat(values)
