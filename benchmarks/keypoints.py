"""Inputs of the keypoint benchmarks, and detectron2's keypoint head with our weights."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.inputs import FPN_CHANNELS, feature_map, random_boxes
from pointrend_repro.checkpoints.detectron2_names import to_detectron2
from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.keypoint_head import KeypointHead
from pointrend_repro.modeling.pooling import pool_rois
from pointrend_repro.settings.heads import KeypointHeadSettings
from pointrend_repro.tools.bench.case import NotInstalled, Size

SIZES: dict[Size, dict[str, int]] = {
    "full": {"num_boxes": 100, "height": 800, "width": 1216},
    "tiny": {"num_boxes": 2, "height": 64, "width": 96},
}
_STRIDES = {"p2": 4, "p3": 8, "p4": 16, "p5": 32}
_PREFIX = "roi_heads.keypoint_head."
# With which heat maps have peaks, as those of a trained model.
_GAIN = 6.0


@dataclass(frozen=True)
class KeypointInputs:
    """A keypoint head, one image's features, and boxes (R, 4), xyxy in pixels."""

    head: KeypointHead
    features: dict[str, Tensor]
    boxes: Tensor
    size: tuple[int, int]

    def people(self) -> tuple[Proposals, Target]:
        """Return a person in each box, of whose keypoints two thirds are labelled."""
        count, device = len(self.boxes), self.boxes.device
        generator = torch.Generator().manual_seed(1)
        shape = (count, self.head.num_keypoints)
        inside = torch.rand(*shape, 2, generator=generator).to(device)
        corner, size = self.boxes[:, None, :2], (self.boxes[:, 2:] - self.boxes[:, :2])[:, None]
        visibility = torch.randint(0, 3, (*shape, 1), generator=generator).to(device)
        points = torch.cat([corner + size * inside, visibility.float()], dim=2)
        labels = torch.zeros(count, dtype=torch.int64, device=device)
        masks = torch.zeros(count, 1, 1, dtype=torch.bool, device=device)
        return (
            Proposals(self.boxes, labels, torch.arange(count, device=device)),
            Target(self.boxes, labels, masks, keypoints=points),
        )


def keypoint_inputs(
    *, num_boxes: int, height: int, width: int, device: str, convs: int = 8
) -> KeypointInputs:
    """Make the inputs of a keypoint head on one image of height x width pixels."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    head = KeypointHead(FPN_CHANNELS, KeypointHeadSettings(convs=convs), pool_rois)
    with torch.no_grad():
        head.deconv.weight *= _GAIN
    layout = torch.channels_last if device == "cpu" else torch.contiguous_format
    features = {
        name: feature_map(height // stride, width // stride, generator)
        .to(device)
        .contiguous(memory_format=layout)  # as our trunk hands it over
        for name, stride in _STRIDES.items()
    }
    boxes = random_boxes(num_boxes, height, width, generator).to(device)
    return KeypointInputs(head.to(device), features, boxes, (height, width))


class Detectron2Head:
    """detectron2's pooler and keypoint head with the weights of ours.

    Raises:
        NotInstalled: there is no detectron2.
    """

    def __init__(self, inputs: KeypointInputs) -> None:
        try:
            from detectron2.layers import ShapeSpec
            from detectron2.modeling.poolers import ROIPooler
            from detectron2.modeling.roi_heads import KRCNNConvDeconvUpsampleHead
        except ImportError as error:
            raise NotInstalled("detectron2") from error
        head, side = inputs.head, inputs.head.roi_resolution
        # detectron2's maps are in torch's usual layout.
        self.features = [inputs.features[name].contiguous() for name in _STRIDES]
        scales = tuple(1 / stride for stride in _STRIDES.values())
        self.pooler = ROIPooler(side, scales, sampling_ratio=0, pooler_type="ROIAlignV2")
        self.head = KRCNNConvDeconvUpsampleHead(
            ShapeSpec(channels=FPN_CHANNELS, width=side, height=side),
            num_keypoints=head.num_keypoints,
            conv_dims=[512] * len(head.convs),
            loss_normalizer="visible",  # its default configuration
        ).to(inputs.boxes.device)
        state = to_detectron2({f"keypoint_head.{k}": v for k, v in head.state_dict().items()})
        self.head.load_state_dict({k.removeprefix(_PREFIX): v for k, v in state.items()})
        self.size = inputs.size

    def keypoints(self, boxes: Tensor) -> Tensor:
        """Return keypoints (R, K, 3) in boxes (R, 4)."""
        from detectron2.structures import Boxes, Instances

        instances = Instances(self.size, pred_boxes=Boxes(boxes))
        pooled = self.pooler(self.features, [instances.pred_boxes])
        (found,) = self.head.eval()(pooled, [instances])
        points: Tensor = found.pred_keypoints
        return points

    def loss(self, boxes: Tensor, target: Target) -> Any:
        """Return the loss of boxes (R, 4) that belong to the target's objects, one by one."""
        from detectron2.modeling.roi_heads.roi_heads import (
            select_proposals_with_visible_keypoints,
        )
        from detectron2.structures import Boxes, Instances, Keypoints

        proposals = Instances(
            self.size, proposal_boxes=Boxes(boxes), gt_keypoints=Keypoints(target.keypoints)
        )
        chosen = select_proposals_with_visible_keypoints([proposals])
        pooled = self.pooler(self.features, [each.proposal_boxes for each in chosen])
        return self.head.train()(pooled, chosen)["loss_keypoint"]
