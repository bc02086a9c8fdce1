"""Hybrid Task Cascade (1901.07518), assembled: three stages of boxes and masks in turn.

Interleaved execution (section 3.1): in training, the mask head of a stage learns from the boxes
that the same stage's box head has moved. Source: mmdetection 1.1, `detectors/htc.py`, the base of
the 3D-FUTURE report's code; `settings/htc.py` says what is left out.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.data.structures import Detections, Target
from pointrend_repro.modeling.backbone import FPNBackbone
from pointrend_repro.modeling.boxes import ImageSize
from pointrend_repro.modeling.choosing import choose_boxes
from pointrend_repro.modeling.htc.boxes import StageBoxHead
from pointrend_repro.modeling.htc.masks import MaskCascade
from pointrend_repro.modeling.pooling import build_roi_layer
from pointrend_repro.modeling.precision import to_float32
from pointrend_repro.modeling.rpn import RegionProposalNetwork
from pointrend_repro.modeling.views import Inside
from pointrend_repro.settings.at_test import AS_TRAINED, DetectionAtTest, Nms, detector_at_test
from pointrend_repro.settings.htc import STAGES, HtcInferenceSettings, HtcModelSettings
from pointrend_repro.settings.instances import DetectorSettings


class HybridTaskCascade(nn.Module):
    """Detects objects and their masks in three stages.

    Images are (3, H, W) RGB tensors of 0 to 255, of any sizes; boxes and masks are in pixels of
    these images.
    """

    keypoint_head = None

    def __init__(self, settings: HtcModelSettings, num_classes: int) -> None:
        """Make a cascade with random weights."""
        super().__init__()
        self.settings = settings
        self.num_classes = num_classes
        self.backbone = FPNBackbone(settings.backbone)
        channels, detector = self.backbone.channels, settings.detector
        self.rpn = RegionProposalNetwork(channels, self.backbone.strides, detector)
        roi_layer = build_roi_layer(detector.roi_layer, self.backbone.roi_strides)
        self.box_heads = nn.ModuleList(
            StageBoxHead(channels, num_classes, detector, roi_layer, stage) for stage in STAGES
        )
        self.mask_head = MaskCascade(
            channels,
            num_classes,
            settings.mask_head,
            scoring=settings.mask_scoring,
            roi_layer=roi_layer,
        )
        self._chosen_by: DetectorSettings = detector
        self._nms: Nms = "hard"

    def start_iteration(self, iteration: int, total_iters: int) -> None:
        """Train everything in every iteration."""

    def test_with(self, test: DetectionAtTest) -> None:
        """Set how boxes are chosen from now on where an inference setting asks for nothing else."""
        self.rpn.settings = detector_at_test(self.rpn.settings, test)
        self._chosen_by = detector_at_test(self._chosen_by, test)
        self._nms = test.nms or self._nms

    def forward(self, images: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        """Return the losses of one training step, weighted by stage, to be summed."""
        features = self.backbone(images)
        anchors = self.rpn.anchors(features)
        losses = self.rpn.losses(anchors, features, targets)
        with torch.no_grad():
            logits, deltas = self.rpn(features)
            boxes = self.rpn.propose(anchors, logits, deltas, _sizes(images))
        features = to_float32(features)
        for number, stage in enumerate(STAGES):
            of_stage, boxes = self._train_stage(number, features, boxes, targets)
            for name, loss in of_stage.items():
                losses[f"loss_{name}_{number + 1}"] = stage.loss_weight * loss
        return losses

    def _train_stage(
        self,
        number: int,
        features: dict[str, Tensor],
        boxes: list[Tensor],
        targets: list[Target],
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Return a stage's losses, unweighted, and the boxes for the next stage."""
        head = self._box_head(number)
        sampled = head.sample(boxes, targets)
        logits, deltas = head(features, [each.proposals.boxes for each in sampled])
        losses = head.losses(logits, deltas, sampled, targets)
        sizes = [(int(t.masks.shape[1]), int(t.masks.shape[2])) for t in targets]
        boxes = head.refine(deltas, sampled, sizes)
        # Drawn anew from the moved boxes: some of them have come close enough to an object.
        proposals = [each.proposals for each in head.sample(boxes, targets)]
        foreground = [p.select(p.labels < self.num_classes) for p in proposals]
        return losses | self.mask_head.losses(number, features, foreground, targets), boxes

    @torch.no_grad()
    def detect(
        self,
        images: list[Tensor],
        settings: HtcInferenceSettings,
        proposals: list[Tensor] | None = None,
    ) -> list[Detections]:
        """Return the detections of each image, highest-scoring first.

        Args:
            proposals: (P_n, 4) an image, xyxy in pixels of it; none: the model's own.
        """
        features, sizes = self.backbone(images), _sizes(images)
        if proposals is None:
            logits, deltas = self.rpn(features)
            anchors = self.rpn.anchors(features)
            proposals = self.rpn.propose(anchors, logits, deltas, sizes, settings.test)
        features = to_float32(features)
        of_images = self._scored_boxes(features, proposals, sizes)
        found = [
            self.choose(*each, size, settings.test)
            for each, size in zip(of_images, sizes, strict=True)
        ]
        boxes, scores, labels = (list(part) for part in zip(*found, strict=True))
        counts = [len(b) for b in boxes]
        masks, quality = self.mask_head.scored(features, boxes, labels)
        parts = zip(boxes, scores, labels, masks.split(counts), strict=True)
        detections = [Detections(*each) for each in parts]
        if quality is None:
            return detections
        return [d.rescored(q) for d, q in zip(detections, quality.split(counts), strict=True)]

    def own_proposals(self) -> RegionProposalNetwork:
        """Return what proposes boxes."""
        return self.rpn

    def scored_boxes(
        self, maps: dict[str, Tensor], proposals: Tensor, image_size: ImageSize
    ) -> tuple[Tensor, Tensor]:
        """Return boxes (P, K, 4), inside an image, and scores (P, K), of each class.

        Args:
            maps: of that one image.
            proposals: (P, 4), xyxy in its pixels.
            image_size: (height, width).
        """
        ((boxes, scores),) = self._scored_boxes(maps, [proposals], [image_size])
        return boxes, scores

    def choose(
        self,
        boxes: Tensor,
        scores: Tensor,
        image_size: ImageSize,
        test: DetectionAtTest = AS_TRAINED,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the boxes (R, 4), scores (R,) and classes (R,) that remain of `scored_boxes`."""
        settings = detector_at_test(self._chosen_by, test)
        return choose_boxes(boxes, scores, image_size, settings, test.nms or self._nms)

    def look_inside(
        self,
        maps: dict[str, Tensor],
        boxes: Tensor,
        labels: Tensor,
        settings: HtcInferenceSettings,
    ) -> Inside:
        """Return the masks over boxes (R, 4) with classes (R,), all of one image."""
        masks, quality = self.mask_head.scored(maps, [boxes], [labels])
        return Inside(masks, quality=quality)

    @torch.no_grad()
    def masks_in_boxes(
        self,
        images: list[Tensor],
        boxes: list[Tensor],
        labels: list[Tensor],
        settings: HtcInferenceSettings,
    ) -> Tensor:
        """Return mask logits (R, M, M) inside given boxes, instead of detected ones.

        Args:
            boxes: N tensors (R_n, 4), xyxy in pixels of their image.
            labels: N tensors (R_n,), 0-based classes.
        """
        features = to_float32(self.backbone(images))
        return self.mask_head.predict(features, boxes, labels, settings)

    def _scored_boxes(
        self, features: dict[str, Tensor], boxes: list[Tensor], sizes: Sequence[ImageSize]
    ) -> list[tuple[Tensor, Tensor]]:
        """Return each image's boxes (P, K, 4) of the last stage and scores (P, K) of all stages.

        Scores are the softmax of the stages' mean logits, in which each stage has seen the boxes as
        the stage before has moved them.
        """
        of_stages = []
        for number in range(len(STAGES)):
            head = self._box_head(number)
            logits, deltas = head(features, boxes)
            boxes = head.moved(deltas, boxes, sizes)
            of_stages.append(logits)
        scores = F.softmax(torch.stack(of_stages).mean(dim=0), dim=1)[:, :-1]
        parts = scores.split([b.shape[0] for b in boxes])
        return [
            (b.unsqueeze(1).expand(-1, self.num_classes, -1), s)
            for b, s in zip(boxes, parts, strict=True)
        ]

    def _box_head(self, number: int) -> StageBoxHead:
        head = self.box_heads[number]
        assert isinstance(head, StageBoxHead)
        return head


def _sizes(images: list[Tensor]) -> list[ImageSize]:
    return [(int(i.shape[1]), int(i.shape[2])) for i in images]
