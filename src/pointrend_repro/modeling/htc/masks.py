"""The mask heads of all stages, and what flows between them (HTC, 1901.07518, sections 3.1, 3.2).

The mask head of a stage sees the features of a box plus what the convolutions of the stage before
made of the same box, through a 1x1 convolution: mask information flow. At test time, the boxes of
the last stage go through all mask heads, whose probabilities are averaged.

Source: mmdetection 1.1, `detectors/htc.py` and `mask_heads/htc_mask_head.py`; 3.3 keeps the mask of
the last stage alone at test time. See `docs/htc.md`.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.init import init_msra
from pointrend_repro.modeling.mask_heads.conv4 import Conv4Head
from pointrend_repro.modeling.mask_heads.mask_iou import MaskIouHead
from pointrend_repro.modeling.mask_heads.targets import grid_loss, of_class
from pointrend_repro.modeling.pooling import RoiLayer
from pointrend_repro.modeling.views import logits_of
from pointrend_repro.settings.heads import Conv4HeadSettings, MaskScoringSettings
from pointrend_repro.settings.htc import (
    STAGES,
    HtcInferenceSettings,
    HtcMaskSettings,
)


class StageMaskHead(Conv4Head):
    """Mask R-CNN's head; all but the first also see what the stage before made of the same box."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        settings: HtcMaskSettings,
        roi_layer: RoiLayer,
        *,
        is_first: bool,
    ) -> None:
        conv4 = Conv4HeadSettings(
            kind="4conv", channels=settings.channels, roi_resolution=settings.roi_resolution
        )
        super().__init__(in_channels, num_classes, conv4, roi_layer)
        self.from_before: nn.Conv2d | None = None
        if not is_first:
            self.from_before = nn.Conv2d(settings.channels, in_channels, 1)
            init_msra(self.from_before)

    def convolved_after(self, roi_features: Tensor, before: Tensor | None) -> Tensor:
        """Return (R, C', S, S) from RoI features and from what the stage before returned."""
        if self.from_before is None or before is None:
            return self.convolved(roi_features)
        return self.convolved(roi_features + F.relu(self.from_before(before)))

    def enlarged(self, convolved: Tensor) -> Tensor:
        """Return the predictor's input, (R, C', 2 S, 2 S)."""
        return F.relu(self.deconv(convolved))


class MaskCascade(nn.Module):
    """The mask heads of the stages, and the head that scores the last one's masks."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        settings: HtcMaskSettings,
        *,
        scoring: MaskScoringSettings | None,
        roi_layer: RoiLayer,
    ) -> None:
        """Make the heads with random weights.

        Args:
            in_channels: of the maps from which boxes are cropped.
            scoring: None: masks are not scored.
        """
        super().__init__()
        self.roi_layer = roi_layer
        self.roi_resolution = settings.roi_resolution
        self.stages = nn.ModuleList(
            StageMaskHead(in_channels, num_classes, settings, roi_layer, is_first=not number)
            for number in range(len(STAGES))
        )
        self.iou_head: MaskIouHead | None = None
        if scoring is not None:
            resolution = settings.roi_resolution
            self.iou_head = MaskIouHead(in_channels, num_classes, resolution, scoring)

    def losses(
        self,
        stage: int,
        features: dict[str, Tensor],
        proposals: list[Proposals],
        targets: list[Target],
    ) -> dict[str, Tensor]:
        """Return a stage's losses, unweighted: of masks and, in the last stage, of their scores.

        Args:
            stage: counted from 0.
            proposals: foreground boxes; if there are none, losses are zero with a graph.
        """
        labels = torch.cat([p.labels for p in proposals])
        rois = self.roi_layer(features, [p.boxes for p in proposals], self.roi_resolution)
        *_, (head, convolved) = self._flow(rois, stage + 1)
        logits = head.predictor(head.enlarged(convolved))
        found = {"mask": grid_loss(logits, labels, proposals, targets)}
        if self.iou_head is not None and stage == len(self.stages) - 1:
            own = of_class(logits, labels).float()
            found["mask_iou"] = self.iou_head.loss(rois, own, proposals, targets)
        return found

    def predict(
        self,
        features: dict[str, Tensor],
        boxes: list[Tensor],
        labels: list[Tensor],
        settings: HtcInferenceSettings,
    ) -> Tensor:
        """Return mask logits (R, M, M) of each box's class: of the stages' mean probability."""
        masks, _ = self.scored(features, boxes, labels)
        return masks

    def scored(
        self, features: dict[str, Tensor], boxes: list[Tensor], labels: list[Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Return mask logits as `predict` does, and the IoU (R,) that each mask is given.

        The head that predicts the IoU sees the stages' mean logits (`htc_msscore.py`). It is None
        without mask scoring.
        """
        rois = self.roi_layer(features, boxes, self.roi_resolution)
        classes = torch.cat(labels)
        stages = torch.stack(
            [
                head.of_classes(head.enlarged(convolved), classes).float()
                for head, convolved in self._flow(rois, len(self.stages))
            ]
        )
        masks = logits_of(stages.sigmoid().mean(dim=0))
        if self.iou_head is None:
            return masks, None
        return masks, self.iou_head.quality(rois, stages.mean(dim=0), classes)

    def _flow(self, rois: Tensor, count: int) -> Iterator[tuple[StageMaskHead, Tensor]]:
        """Yield the heads of the first stages, each with what its convolutions return."""
        before = None
        for head in self.stages[:count]:
            assert isinstance(head, StageMaskHead)
            before = head.convolved_after(rois, before)
            yield head, before
