"""Box head: classifies proposals and refines them, with detectron2's semantics.

Source: detectron2 commit 02b5c4e2, modeling/roi_heads/{box_head,fast_rcnn,roi_heads}.py. The last
class is background; box deltas are predicted per class, with an L1 loss.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.boxes import (
    ImageSize,
    clip_boxes,
    decode_boxes,
    encode_boxes,
    match_boxes,
    sample_matches,
    suppress,
)
from pointrend_repro.modeling.init import init_normal, init_xavier
from pointrend_repro.modeling.pooling import RoiLayer
from pointrend_repro.settings.at_test import AS_TRAINED, DetectionAtTest, detector_at_test
from pointrend_repro.settings.instances import DetectorSettings

_BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
_POOL_RESOLUTION = 7
_FOREGROUND_IOU = 0.5


class BoxHead(nn.Module):
    """Two fully connected layers on 7x7 RoI features, then class logits and box deltas."""

    def __init__(
        self, in_channels: int, num_classes: int, settings: DetectorSettings, roi_layer: RoiLayer
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.settings = settings
        self.roi_layer = roi_layer
        hidden = settings.box_head_channels
        self.fc1 = nn.Linear(in_channels * _POOL_RESOLUTION**2, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.cls_score = nn.Linear(hidden, num_classes + 1)
        self.bbox_pred = nn.Linear(hidden, num_classes * 4)
        init_xavier(self.fc1, self.fc2)
        init_normal(self.cls_score, std=0.01)
        init_normal(self.bbox_pred, std=0.001)

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return class logits (R, K + 1) and deltas (R, K, 4) of all images' boxes."""
        x = self.roi_layer(features, boxes, _POOL_RESOLUTION).flatten(1)
        x = F.relu(self.fc2(F.relu(self.fc1(x))))
        deltas = self.bbox_pred(x).float().view(-1, self.num_classes, 4)
        return self.cls_score(x).float(), deltas

    @torch.no_grad()
    def sample(self, proposals: list[Tensor], targets: list[Target]) -> list[Proposals]:
        """Match proposals and the ground-truth boxes to the ground truth, and sample a batch."""
        sampled = []
        for boxes, target in zip(proposals, targets, strict=True):
            boxes = torch.cat([boxes, target.boxes])
            matched, state = match_boxes(
                boxes,
                target.boxes,
                negative_below=_FOREGROUND_IOU,
                positive_from=_FOREGROUND_IOU,
                keep_best_of_each_gt=False,
            )
            positive, negative = sample_matches(
                state, self.settings.roi_batch_per_image, self.settings.roi_positive_fraction
            )
            labels = torch.full_like(matched, self.num_classes)
            labels[positive] = target.labels[matched[positive]]
            all_proposals = Proposals(boxes, labels, matched)
            sampled.append(all_proposals.select(torch.cat([positive, negative])))
        return sampled

    def losses(
        self,
        logits: Tensor,
        deltas: Tensor,
        proposals: list[Proposals],
        targets: list[Target],
    ) -> dict[str, Tensor]:
        """Return the classification and box losses, both averaged over the sampled boxes."""
        labels = torch.cat([p.labels for p in proposals])
        boxes = torch.cat([p.boxes for p in proposals])
        gt_boxes = torch.cat(
            [_matched_boxes(p, t) for p, t in zip(proposals, targets, strict=True)]
        )
        foreground = torch.nonzero(labels < self.num_classes).squeeze(1)
        target = encode_boxes(gt_boxes[foreground], boxes[foreground], _BOX_WEIGHTS)
        predicted = deltas[foreground, labels[foreground]]
        count = max(len(labels), 1)
        return {
            "loss_cls": F.cross_entropy(logits, labels, reduction="sum") / count,
            "loss_box": F.l1_loss(predicted, target, reduction="sum") / count,
        }

    @torch.no_grad()
    def refine(self, deltas: Tensor, proposals: list[Proposals]) -> list[Proposals]:
        """Replace each proposal's box by the one predicted for its ground-truth class."""
        labels = torch.cat([p.labels for p in proposals]).clamp(max=self.num_classes - 1)
        chosen = deltas[torch.arange(len(labels), device=labels.device), labels]
        boxes = decode_boxes(chosen, torch.cat([p.boxes for p in proposals]), _BOX_WEIGHTS)
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
        settings = detector_at_test(self.settings, test)
        counts = [p.shape[0] for p in proposals]  # len() of a graph's tensor is one number
        boxes = decode_boxes(deltas, torch.cat(proposals).unsqueeze(1), _BOX_WEIGHTS)
        scores = F.softmax(logits, dim=1)[:, :-1]
        per_image = zip(boxes.split(counts), scores.split(counts), image_sizes, strict=True)
        return [_suppress(*each, settings) for each in per_image]


def _suppress(
    boxes: Tensor, scores: Tensor, image_size: ImageSize, settings: DetectorSettings
) -> tuple[Tensor, Tensor, Tensor]:
    finite = boxes.isfinite().flatten(1).all(1) & scores.isfinite().all(1)
    boxes, scores = clip_boxes(boxes[finite], image_size), scores[finite]
    box_index, labels = torch.nonzero(scores > settings.score_threshold, as_tuple=True)
    boxes, scores = boxes[box_index, labels], scores[box_index, labels]
    keep = suppress(boxes, scores, labels, settings.nms_iou)
    keep = keep[: settings.detections_per_image]
    return boxes[keep], scores[keep], labels[keep]


def _matched_boxes(proposals: Proposals, target: Target) -> Tensor:
    if len(target.boxes) == 0:  # all background: these boxes are never used
        return torch.zeros_like(proposals.boxes)
    return target.boxes[proposals.matched]
