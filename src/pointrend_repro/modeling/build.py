"""Builds a detector from its settings: which backbone, RoI layer and heads."""

from pointrend_repro.modeling.backbone import FPNBackbone
from pointrend_repro.modeling.box_head import BoxHead
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.modeling.mask_heads import build_mask_head
from pointrend_repro.modeling.pooling import build_roi_layer
from pointrend_repro.modeling.rpn import RegionProposalNetwork
from pointrend_repro.settings.instances import ModelSettings


def build_mask_rcnn(settings: ModelSettings, num_classes: int) -> MaskRCNN:
    """Make the detector that the settings describe, with random weights."""
    backbone = FPNBackbone(settings.backbone)
    channels = backbone.channels
    rpn = (
        None
        if settings.given_proposals
        else RegionProposalNetwork(channels, backbone.strides, settings.detector)
    )
    roi_layer = build_roi_layer(settings.detector.roi_layer, backbone.roi_strides)
    box_head = BoxHead(channels, num_classes, settings.detector, roi_layer)
    mask_head = build_mask_head(
        settings.mask_head,
        in_channels=channels,
        trunk_channels=backbone.bottom_up.out_channels,
        num_classes=num_classes,
        roi_layer=roi_layer,
    )
    return MaskRCNN(settings, backbone=backbone, rpn=rpn, box_head=box_head, mask_head=mask_head)
