"""Which boxes a box head learns from (Fast R-CNN, section 2.3), with detectron2's semantics."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.boxes import match_boxes, sample_matches
from pointrend_repro.settings.instances import DetectorSettings


@dataclass(frozen=True)
class Sampled:
    """Boxes of one image from which a box head learns.

    Attributes:
        proposals: R of them, foreground first.
        is_object: (R,) bool, whether a box is an object's own, which was added to the boxes.
    """

    proposals: Proposals
    is_object: Tensor


def sample_boxes(
    boxes: Tensor, target: Target, settings: DetectorSettings, *, iou: float, num_classes: int
) -> Sampled:
    """Match boxes, and the objects' own, to an image's objects, and draw a batch at random.

    Args:
        boxes: (P, 4), xyxy in pixels of the network's input.
        iou: with an object, from which a box is foreground.
        num_classes: the label of background.
    """
    with_objects = torch.cat([boxes, target.boxes])
    matched, state = match_boxes(
        with_objects,
        target.boxes,
        negative_below=iou,
        positive_from=iou,
        negative_from=settings.roi_negative_from,
        keep_best_of_each_gt=False,
    )
    positive, negative = sample_matches(
        state, settings.roi_batch_per_image, settings.roi_positive_fraction
    )
    labels = torch.full_like(matched, num_classes)
    labels[positive] = target.labels[matched[positive]]
    drawn = torch.cat([positive, negative])
    proposals = Proposals(with_objects, labels, matched).select(drawn)
    return Sampled(proposals, drawn >= len(boxes))
