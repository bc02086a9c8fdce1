"""Box heads: classify proposals and refine them, with detectron2's semantics.

Source: detectron2 commit 02b5c4e2, modeling/roi_heads/{box_head,fast_rcnn,roi_heads}.py. The last
class is background; box deltas are predicted per class, or once for all of them.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.boxes import (
    ImageSize,
    box_loss,
    decode_boxes,
    encode_boxes,
)
from pointrend_repro.modeling.choosing import choose_boxes
from pointrend_repro.modeling.fully_connected import (
    add_fully_connected,
    fully_connected,
    through_fully_connected,
)
from pointrend_repro.modeling.init import init_normal, init_xavier
from pointrend_repro.modeling.pooling import RoiLayer
from pointrend_repro.modeling.resnet import Res5
from pointrend_repro.modeling.roi_sampling import sample_boxes
from pointrend_repro.settings.at_test import AS_TRAINED, DetectionAtTest, Nms, detector_at_test
from pointrend_repro.settings.instances import SMOOTH_L1_BETA, DetectorSettings

_BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
_RES5_CELLS = 7  # along a box, that res5 puts out
_FOREGROUND_IOU = 0.5


class BoxHead(nn.Module):
    """Class logits and box deltas from a vector for each box, which the kinds make differently."""

    def __init__(self, num_classes: int, settings: DetectorSettings) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.settings = settings
        self.nms: Nms = "hard"

    @property
    def _num_boxes(self) -> int:
        return 1 if self.settings.class_agnostic_boxes else self.num_classes

    def add_predictors(self, width: int) -> None:
        """Make the last layers, on vectors of `width` numbers; `init_predictors` comes later."""
        self.cls_score = nn.Linear(width, self.num_classes + 1)
        self.bbox_pred = nn.Linear(width, self._num_boxes * 4)

    def init_predictors(self) -> None:
        """Give the last layers small random weights."""
        init_normal(self.cls_score, std=0.01)
        init_normal(self.bbox_pred, std=0.001)

    def roi_features(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """Return what the head sees of each box, (R, C, S, S), which other heads may share."""
        raise NotImplementedError

    def vectors(self, roi_features: Tensor) -> Tensor:
        """Map `roi_features` to the vectors (R, D) that the last layers see."""
        raise NotImplementedError

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return class logits (R, K + 1) and deltas of all images' boxes.

        Deltas are (R, K, 4), or (R, 1, 4) if boxes are class-agnostic.
        """
        return self.predict(self.roi_features(features, boxes))

    def predict(self, roi_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits and deltas, of the shapes of `forward`, from `roi_features`."""
        x = self.vectors(roi_features)
        deltas = self.bbox_pred(x).float().view(-1, self._num_boxes, 4)
        return self.cls_score(x).float(), deltas

    @torch.no_grad()
    def sample(self, proposals: list[Tensor], targets: list[Target]) -> list[Proposals]:
        """Match proposals and the ground-truth boxes to the ground truth, and sample a batch."""
        return [
            sample_boxes(
                boxes, target, self.settings, iou=_FOREGROUND_IOU, num_classes=self.num_classes
            ).proposals
            for boxes, target in zip(proposals, targets, strict=True)
        ]

    def losses(
        self,
        logits: Tensor,
        deltas: Tensor,
        proposals: list[Proposals],
        targets: list[Target],
    ) -> dict[str, Tensor]:
        """Return `loss_cls` and `loss_box`, both averaged over the sampled boxes.

        Args:
            logits: (R, K + 1), of the boxes of all images; the last class is background.
            deltas: (R, K, 4), or (R, 1, 4) if class-agnostic, as `encode_boxes` makes them.
            proposals: N images' sampled boxes, R in all, xyxy in image pixels.
            targets: N images' objects.
        """
        labels = torch.cat([p.labels for p in proposals])
        boxes = torch.cat([p.boxes for p in proposals])
        gt_boxes = torch.cat(
            [_matched_boxes(p, t) for p, t in zip(proposals, targets, strict=True)]
        )
        foreground = torch.nonzero(labels < self.num_classes).squeeze(1)
        target = encode_boxes(gt_boxes[foreground], boxes[foreground], _BOX_WEIGHTS)
        predicted = _of_class(deltas[foreground], labels[foreground])
        count = max(len(labels), 1)
        return {
            "loss_cls": F.cross_entropy(logits, labels, reduction="sum") / count,
            "loss_box": box_loss(predicted, target, self.settings, SMOOTH_L1_BETA) / count,
        }

    @torch.no_grad()
    def refine(self, deltas: Tensor, proposals: list[Proposals]) -> list[Proposals]:
        """Replace each proposal's box by the one predicted for its ground-truth class."""
        labels = torch.cat([p.labels for p in proposals]).clamp(max=self.num_classes - 1)
        boxes = decode_boxes(
            _of_class(deltas, labels), torch.cat([p.boxes for p in proposals]), _BOX_WEIGHTS
        )
        parts = boxes.split([len(p.boxes) for p in proposals])
        return [Proposals(b, p.labels, p.matched) for b, p in zip(parts, proposals, strict=True)]

    def detect(
        self,
        logits: Tensor,
        deltas: Tensor,
        proposals: list[Tensor],
        image_sizes: Sequence[ImageSize],
        test: DetectionAtTest = AS_TRAINED,
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return each image's boxes (R, 4), scores (R,) and classes (R,), highest-scoring first.

        `test` says which and how many; where it is silent, the model's own settings do.
        """
        per_image = zip(*self.scored_boxes(logits, deltas, proposals), image_sizes, strict=True)
        return [self.choose(*each, test) for each in per_image]

    def scored_boxes(
        self, logits: Tensor, deltas: Tensor, proposals: list[Tensor]
    ) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Return each image's boxes (P, K, 4) and scores (P, K), of all classes of all proposals.

        The boxes may reach beyond the image.
        """
        counts = [p.shape[0] for p in proposals]  # len() of a graph's tensor is one number
        boxes = decode_boxes(deltas, torch.cat(proposals).unsqueeze(1), _BOX_WEIGHTS)
        boxes = boxes.expand(-1, self.num_classes, -1)
        return boxes.split(counts), F.softmax(logits, dim=1)[:, :-1].split(counts)

    def choose(
        self,
        boxes: Tensor,
        scores: Tensor,
        image_size: ImageSize,
        test: DetectionAtTest = AS_TRAINED,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is left of the `scored_boxes` of one image, as `detect` does."""
        settings = detector_at_test(self.settings, test)
        return choose_boxes(boxes, scores, image_size, settings, test.nms or self.nms)


class FcBoxHead(BoxHead):
    """Fully connected layers on RoI features: two on 7x7 cells in FPN and Mask R-CNN (Figure 3)."""

    def __init__(
        self, in_channels: int, num_classes: int, settings: DetectorSettings, roi_layer: RoiLayer
    ) -> None:
        super().__init__(num_classes, settings)
        self.roi_layer = roi_layer
        self.roi_resolution = settings.box_roi_resolution
        hidden = settings.box_head_channels
        sizes = [in_channels * self.roi_resolution**2] + [hidden] * settings.box_head_layers
        add_fully_connected(self, sizes)
        self.add_predictors(hidden)
        init_xavier(*fully_connected(self))
        self.init_predictors()

    def roi_features(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """Return RoI features (R, C, S, S), for S of `box_roi_resolution`."""
        return self.roi_layer(features, boxes, self.roi_resolution)

    def vectors(self, roi_features: Tensor) -> Tensor:
        """Map RoI features (R, C, S, S) to (R, `box_head_channels`)."""
        return through_fully_connected(
            self, roi_features.flatten(1), dropout=self.settings.box_head_dropout
        )


class Res5BoxHead(BoxHead):
    """res5 on RoI features of res4, then the mean over its map (Mask R-CNN's Figure 3 left).

    The paper crops 7x7 cells and lets res5 keep them (`res5_stride: 1`). Detectron and detectron2
    crop 14x14, which res5 halves as in a trunk. The map is 7x7 in both.
    """

    def __init__(
        self, res5: Res5, num_classes: int, settings: DetectorSettings, roi_layer: RoiLayer
    ) -> None:
        super().__init__(num_classes, settings)
        self.roi_layer = roi_layer
        self.roi_resolution = _RES5_CELLS * settings.res5_stride
        self.res5 = res5
        self.add_predictors(res5.out_channels)
        self.init_predictors()

    def roi_features(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """Return the output of res5 for each box, (R, C, 7, 7)."""
        of_boxes: Tensor = self.res5(self.roi_layer(features, boxes, self.roi_resolution))
        return of_boxes

    def vectors(self, roi_features: Tensor) -> Tensor:
        """Map the output of res5 to its mean, (R, C)."""
        return roi_features.float().mean(dim=(2, 3))


def _of_class(deltas: Tensor, labels: Tensor) -> Tensor:
    """Return the deltas (R, 4) of each box's class, from (R, K, 4), or (R, 1, 4) for all."""
    if deltas.shape[1] == 1:
        return deltas.squeeze(1)
    return deltas[torch.arange(len(labels), device=labels.device), labels]


def _matched_boxes(proposals: Proposals, target: Target) -> Tensor:
    if len(target.boxes) == 0:  # all background: these boxes are never used
        return torch.zeros_like(proposals.boxes)
    return target.boxes[proposals.matched]
