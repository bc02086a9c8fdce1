"""Our mask heads inside detectron2's Mask R-CNN: any `MaskHead`, registered by name.

Importing this module needs detectron2, and registers three names with it.
"""

import json
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import (
    BACKBONE_REGISTRY,
    ROI_HEADS_REGISTRY,
    ROI_MASK_HEAD_REGISTRY,
    StandardROIHeads,
    build_resnet_backbone,
)
from detectron2.modeling.backbone import FPN
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.structures import Instances
from pydantic import TypeAdapter
from torch import Tensor, nn

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.engines.detectron2.keys import STAGES
from pointrend_repro.modeling.mask_heads import build_mask_head
from pointrend_repro.settings.heads import MaskHeadSettings
from pointrend_repro.settings.instances import InferenceSettings

_PYRAMID = ("p2", "p3", "p4", "p5")
_SETTINGS: TypeAdapter[MaskHeadSettings] = TypeAdapter(MaskHeadSettings)


class PyramidAndTrunk(FPN):
    """detectron2's feature pyramid, together with the trunk's stages."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._stages: dict[str, Tensor] = {}
        self.bottom_up.register_forward_hook(self._keep)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return p2 to p6 and res2 to res5."""
        levels: dict[str, Tensor] = super().forward(x)
        stages, self._stages = self._stages, {}  # keep no reference to a batch
        return {**levels, **stages}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and strides of what `forward` returns."""
        return {**super().output_shape(), **self.bottom_up.output_shape()}

    def _keep(self, trunk: nn.Module, inputs: Any, stages: dict[str, Tensor]) -> None:
        self._stages = stages


@BACKBONE_REGISTRY.register()
def build_pyramid_and_trunk(cfg: CfgNode, input_shape: ShapeSpec) -> PyramidAndTrunk:
    """Make the backbone as detectron2's `build_resnet_fpn_backbone` does."""
    return PyramidAndTrunk(
        bottom_up=build_resnet_backbone(cfg, input_shape),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )


@ROI_HEADS_REGISTRY.register()
class HeadsWithOwnMaskHead(StandardROIHeads):
    """detectron2's box head and our mask head, which crops features itself."""

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Let the mask head choose the boxes it is trained on."""
        arguments: dict[str, Any] = super().from_config(cfg, input_shape)
        head = arguments["mask_head"].head
        return {**arguments, "train_on_pred_boxes": head.train_on_refined_boxes}

    @classmethod
    def _init_mask_head(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        return {
            "mask_in_features": [*_PYRAMID, *STAGES],
            "mask_pooler": None,
            "mask_head": OwnMaskHead(cfg, input_shape),
        }


@ROI_MASK_HEAD_REGISTRY.register()
class OwnMaskHead(nn.Module):
    """Passes boxes and masks from detectron2 to a `MaskHead`, and returns its losses or masks."""

    def __init__(self, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> None:
        super().__init__()
        names = cfg.MODEL.ROI_MASK_HEAD
        head = build_mask_head(
            _SETTINGS.validate_json(names.OWN_SETTINGS),
            in_channels=input_shape[_PYRAMID[0]].channels,
            trunk_channels=tuple(input_shape[stage].channels for stage in STAGES),
            num_classes=cfg.MODEL.ROI_HEADS.NUM_CLASSES,
        )
        assert head is not None  # `none` switches detectron2's masks off
        self.head = head
        self.inference = InferenceSettings(**json.loads(names.OWN_INFERENCE or "{}"))

    def forward(
        self, features: dict[str, Tensor], instances: list[Instances]
    ) -> dict[str, Tensor] | list[Instances]:
        """Return losses in training, otherwise the instances with masks (R, 1, M, M) in 0 to 1."""
        if self.training:
            return self.head.losses(
                features, [_proposals(x) for x in instances], [_target(x) for x in instances]
            )
        boxes = [x.pred_boxes.tensor for x in instances]
        logits = self.head.predict(
            features, boxes, [x.pred_classes for x in instances], self.inference
        )
        masks = logits.sigmoid().unsqueeze(1).split([len(b) for b in boxes])
        for found, own in zip(instances, masks, strict=True):
            found.pred_masks = own
        return instances


def _proposals(instances: Instances) -> Proposals:
    """Each foreground box has its own copy of its object, so that box r matches object r."""
    boxes = instances.proposal_boxes.tensor
    matched = torch.arange(len(boxes), device=boxes.device)
    return Proposals(boxes, instances.gt_classes, matched)


def _target(instances: Instances) -> Target:
    if not instances.has("gt_masks"):  # an image without objects, of which its heads copy nothing
        boxes = instances.proposal_boxes.tensor[:0]
        masks = torch.zeros((0, *instances.image_size), dtype=torch.bool, device=boxes.device)
        return Target(boxes, instances.gt_classes[:0], masks)
    return Target(instances.gt_boxes.tensor, instances.gt_classes, instances.gt_masks.tensor.bool())
