"""Mask R-CNN: backbone, region proposals, and heads of boxes, masks and keypoints.

Without a mask head it is Faster R-CNN.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.structures import Detections, Target
from pointrend_repro.modeling.backbone import DetectorBackbone
from pointrend_repro.modeling.box_head import BoxHead
from pointrend_repro.modeling.boxes import ImageSize, clip_boxes
from pointrend_repro.modeling.keypoint_head import KeypointHead
from pointrend_repro.modeling.mask_heads import MaskHead, masks_and_quality
from pointrend_repro.modeling.precision import to_float32
from pointrend_repro.modeling.proposal_model import without_class
from pointrend_repro.modeling.rpn import RegionProposalNetwork
from pointrend_repro.modeling.views import Inside
from pointrend_repro.settings.at_test import AS_TRAINED, DetectionAtTest, detector_at_test
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings

NO_MASKS = "the model has no mask head (`mask_head: {kind: none}`): it predicts boxes only"


class MaskRCNN(nn.Module):
    """Detects objects and their masks (1703.06870), with detectron2's semantics throughout.

    Images are (3, H, W) RGB tensors of 0 to 255, of any sizes; boxes and masks are in pixels of
    these images.
    """

    def __init__(
        self,
        settings: ModelSettings,
        *,
        backbone: DetectorBackbone,
        rpn: RegionProposalNetwork | None,
        box_head: BoxHead,
        mask_head: MaskHead | None,
        keypoint_head: KeypointHead | None = None,
    ) -> None:
        """Put a detector together.

        Args:
            settings: what the parts were made from; saved in the model's file.
            rpn: None for a detector that is given its proposals.
            mask_head: None for a detector without masks.
            keypoint_head: None for a detector without keypoints.
        """
        super().__init__()
        self.settings = settings
        self.num_classes = box_head.num_classes
        self.backbone = backbone
        self.rpn = rpn
        self.box_head = box_head
        self.mask_head = mask_head
        self.keypoint_head = keypoint_head
        self._trainable = [p for p in self.parameters() if p.requires_grad]

    def start_iteration(self, iteration: int, total_iters: int) -> None:
        """Choose what this iteration (from 0) trains: everything, unless the head has stages.

        This depends on the iteration alone, so a resumed training does what an uninterrupted one
        does. SGD skips parameters without a gradient, weight decay included.
        """
        start = getattr(self.mask_head, "start_iteration", None)
        if start is not None:
            start(iteration / total_iters, self._trainable)

    def test_with(self, test: DetectionAtTest) -> None:
        """Set how boxes are chosen from now on where an inference setting asks for nothing else."""
        if self.rpn is not None:
            self.rpn.settings = detector_at_test(self.rpn.settings, test)
        self.box_head.settings = detector_at_test(self.box_head.settings, test)
        self.box_head.nms = test.nms or self.box_head.nms

    def forward(self, images: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        """Return the losses of one training step, to be summed without weights (section 4).

        Where all targets have proposals, the detector learns from these (Fast R-CNN), and there
        are no losses of region proposals.
        """
        features = self.backbone(images)
        given = [t.proposals for t in targets if t.proposals is not None]
        if given and len(given) < len(targets):
            raise ValueError(f"{len(given)} of {len(targets)} images have proposals")
        losses: dict[str, Tensor] = {}
        if not given:
            rpn = self.own_proposals()
            losses = rpn.losses(rpn.anchors(features), features, targets)
        with torch.no_grad():
            boxes = given or self._propose(images, features, AS_TRAINED)

        features = to_float32(features)
        proposals = self.box_head.sample(boxes, targets)
        rois = self.box_head.roi_features(features, [p.boxes for p in proposals])
        logits, deltas = self.box_head.predict(rois)
        losses |= self.box_head.losses(logits, deltas, proposals, targets)

        if self.mask_head is not None and self.mask_head.train_on_refined_boxes:
            proposals = self.box_head.refine(deltas, proposals)
        if getattr(self.mask_head, "shares_roi_features", False):
            parts = rois.split([len(p.boxes) for p in proposals])
            proposals = [replace(p, features=x) for p, x in zip(proposals, parts, strict=True)]
        foreground = [p.select(p.labels < self.num_classes) for p in proposals]
        for head in (self.mask_head, self.keypoint_head):
            if head is not None:
                losses |= head.losses(features, foreground, targets)
        return losses

    @torch.no_grad()
    def detect(
        self,
        images: list[Tensor],
        settings: InferenceSettings,
        proposals: list[Tensor] | None = None,
    ) -> list[Detections]:
        """Return the detections of each image: boxes first, then what the boxes hold.

        Args:
            proposals: (P_n, 4) an image, xyxy in pixels of it; none: the detector's own.
        """
        sizes = _sizes(images)
        features = self.backbone(images)
        if proposals is None:
            proposals = self._propose(images, features, settings.test)
        if settings.proposals_only:
            return [without_class(boxes) for boxes in proposals]
        features = to_float32(features)
        logits, deltas = self.box_head(features, proposals)
        found = self.box_head.detect(logits, deltas, proposals, sizes, settings.test)
        boxes, scores, labels = (list(part) for part in zip(*found, strict=True))
        counts = [len(b) for b in boxes]
        masks: Sequence[Tensor | None] = [None] * len(images)
        quality = None
        if self.mask_head is not None:
            head = self.mask_head
            logits, quality = masks_and_quality(head, features, boxes, labels, settings)
            masks = logits.split(counts)
        points: Sequence[Tensor | None] = [None] * len(images)
        if self.keypoint_head is not None:
            points = self.keypoint_head.predict(features, boxes).split(counts)
        parts = zip(boxes, scores, labels, masks, points, strict=True)
        detections = [Detections(*each) for each in parts]
        if quality is None:
            return detections
        return [d.rescored(q) for d, q in zip(detections, quality.split(counts), strict=True)]

    def own_proposals(self) -> RegionProposalNetwork:
        """Return what proposes boxes.

        Raises:
            UserError: nothing does; the detector finds objects only in boxes that it is given.
        """
        if self.rpn is None:
            raise UserError(
                "the model was trained with `proposals_from` and has no proposals of its own; only "
                "the pipeline's predictions give it boxes"
            )
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
        logits, deltas = self.box_head(maps, [proposals])
        ((boxes,), (scores,)) = self.box_head.scored_boxes(logits, deltas, [proposals])
        return clip_boxes(boxes, image_size), scores

    def choose(
        self, boxes: Tensor, scores: Tensor, image_size: ImageSize, test: DetectionAtTest
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the boxes (R, 4), scores (R,) and classes (R,) that remain of `scored_boxes`."""
        return self.box_head.choose(boxes, scores, image_size, test)

    def look_inside(
        self,
        maps: dict[str, Tensor],
        boxes: Tensor,
        labels: Tensor,
        settings: InferenceSettings,
    ) -> Inside:
        """Return masks and keypoints over boxes (R, 4) with classes (R,), all of one image."""
        masks = points = quality = None
        if self.mask_head is not None:
            head = self.mask_head
            masks, quality = masks_and_quality(head, maps, [boxes], [labels], settings)
        if self.keypoint_head is not None:
            points = self.keypoint_head(maps, [boxes])
        return Inside(masks, points, quality)

    def own_masks(self) -> MaskHead:
        """Return what predicts masks.

        Raises:
            UserError: nothing does; the detector finds boxes only.
        """
        if self.mask_head is None:
            raise UserError(NO_MASKS)
        return self.mask_head

    def _propose(
        self, images: list[Tensor], features: dict[str, Tensor], test: DetectionAtTest
    ) -> list[Tensor]:
        rpn = self.own_proposals()
        anchors = rpn.anchors(features)
        rpn_logits, rpn_deltas = rpn(features)
        return rpn.propose(anchors, rpn_logits, rpn_deltas, _sizes(images), test)

    @torch.no_grad()
    def masks_in_boxes(
        self,
        images: list[Tensor],
        boxes: list[Tensor],
        labels: list[Tensor],
        settings: InferenceSettings,
    ) -> Tensor:
        """Return mask logits (R, M, M) inside given boxes, instead of detected ones.

        Args:
            boxes: N tensors (R_n, 4), xyxy in pixels of their image.
            labels: N tensors (R_n,), 0-based classes.

        Raises:
            UserError: the detector has no mask head.
        """
        features = to_float32(self.backbone(images))
        return self.own_masks().predict(features, boxes, labels, settings).float()


def _sizes(images: list[Tensor]) -> list[tuple[int, int]]:
    return [(int(i.shape[1]), int(i.shape[2])) for i in images]
