"""Region proposals alone, without heads: the first of the two trainings of the Mask R-CNN paper.

"RPN is trained separately and does not share features with Mask R-CNN" (section 3.1). A detector is
given what this model proposes by `proposals_from`.
"""

import torch
from torch import Tensor, nn

from pointrend_repro.data.structures import Detections, Target
from pointrend_repro.modeling.backbone import DetectorBackbone
from pointrend_repro.modeling.rpn import RegionProposalNetwork
from pointrend_repro.settings.at_test import DetectionAtTest, detector_at_test
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings


class ProposalModel(nn.Module):
    """A backbone and a region proposal network: a `MaskRCNN` whose objects are proposals."""

    mask_head = None
    keypoint_head = None

    def __init__(
        self,
        settings: ModelSettings,
        *,
        num_classes: int,
        backbone: DetectorBackbone,
        rpn: RegionProposalNetwork,
    ) -> None:
        """Put a model together; `num_classes` is the data set's, which it does not tell apart."""
        super().__init__()
        self.settings = settings
        self.num_classes = num_classes
        self.backbone = backbone
        self.rpn = rpn

    def own_proposals(self) -> RegionProposalNetwork:
        """Return what proposes boxes."""
        return self.rpn

    def start_iteration(self, iteration: int, total_iters: int) -> None:
        """Train everything in every iteration."""

    def test_with(self, test: DetectionAtTest) -> None:
        """Set how many proposals there are where an inference setting asks for nothing else."""
        self.rpn.settings = detector_at_test(self.rpn.settings, test)

    def forward(self, images: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        """Return the losses of one training step, to be summed without weights."""
        features = self.backbone(images)
        return self.rpn.losses(self.rpn.anchors(features), features, targets)

    @torch.no_grad()
    def detect(
        self,
        images: list[Tensor],
        settings: InferenceSettings,
        proposals: list[Tensor] | None = None,
    ) -> list[Detections]:
        """Return each image's proposals, best first; all are of class 0, without masks.

        Whether `settings` ask for proposals only makes no difference, and it is given none.
        """
        features = self.backbone(images)
        logits, deltas = self.rpn(features)
        sizes = [(int(i.shape[1]), int(i.shape[2])) for i in images]
        anchors = self.rpn.anchors(features)
        found = self.rpn.propose(anchors, logits, deltas, sizes, settings.test)
        return [without_class(boxes) for boxes in found]


def without_class(boxes: Tensor) -> Detections:
    """Return proposals (P, 4), best first, as objects; their scores say only their order."""
    count = len(boxes)
    order = torch.arange(count, 0, -1, device=boxes.device, dtype=boxes.dtype)
    labels = torch.zeros(count, dtype=torch.int64, device=boxes.device)
    return Detections(boxes, order / max(count, 1), labels, None)
