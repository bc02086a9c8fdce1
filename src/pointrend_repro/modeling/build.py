"""Builds a detector from its settings: which backbone, RoI layer and heads."""

from pointrend_repro.modeling.backbone import build_backbone
from pointrend_repro.modeling.box_head import BoxHead, FcBoxHead, Res5BoxHead
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.modeling.keypoint_head import KeypointHead
from pointrend_repro.modeling.mask_heads import build_mask_head
from pointrend_repro.modeling.pooling import RoiLayer, build_roi_layer
from pointrend_repro.modeling.proposal_model import ProposalModel
from pointrend_repro.modeling.resnet import Res5
from pointrend_repro.modeling.resnet_blocks import BlockParts
from pointrend_repro.modeling.rpn import RegionProposalNetwork
from pointrend_repro.settings.instances import ModelSettings


def build_detector(settings: ModelSettings, num_classes: int) -> MaskRCNN | ProposalModel:
    """Make the detector that the settings describe, or its proposals alone."""
    if not settings.rpn_only:
        return build_mask_rcnn(settings, num_classes)
    backbone = build_backbone(settings.backbone, settings.features)
    rpn = RegionProposalNetwork(backbone.channels, backbone.strides, settings.detector)
    return ProposalModel(settings, num_classes=num_classes, backbone=backbone, rpn=rpn)


def build_mask_rcnn(settings: ModelSettings, num_classes: int) -> MaskRCNN:
    """Make the detector that the settings describe, with random weights."""
    backbone = build_backbone(settings.backbone, settings.features)
    channels = backbone.channels
    rpn = (
        None
        if settings.given_proposals
        else RegionProposalNetwork(channels, backbone.strides, settings.detector)
    )
    roi_layer = build_roi_layer(settings.detector.roi_layer, backbone.roi_strides)
    box_head = build_box_head(settings, channels, num_classes, roi_layer)
    mask_head = build_mask_head(
        settings.mask_head,
        in_channels=channels,
        trunk_channels=backbone.bottom_up.out_channels,
        num_classes=num_classes,
        roi_layer=roi_layer,
        box_head=box_head,
    )
    keypoint_head = (
        None
        if settings.keypoint_head is None
        else KeypointHead(channels, settings.keypoint_head, roi_layer)
    )
    return MaskRCNN(
        settings,
        backbone=backbone,
        rpn=rpn,
        box_head=box_head,
        mask_head=mask_head,
        keypoint_head=keypoint_head,
    )


def build_box_head(
    settings: ModelSettings, channels: int, num_classes: int, roi_layer: RoiLayer
) -> BoxHead:
    """Make the box head of the features that the settings name, from maps of some channels."""
    detector, trunk = settings.detector, settings.backbone
    if settings.features != "c4":
        return FcBoxHead(channels, num_classes, detector, roi_layer)
    parts = BlockParts(trunk.norm, trunk.stride_in_1x1, trunk.deformable, trunk.context_ratio)
    res5 = Res5(trunk.name, parts, stride=detector.res5_stride)
    return Res5BoxHead(res5, num_classes, detector, roi_layer)
