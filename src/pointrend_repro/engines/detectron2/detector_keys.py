"""Mask R-CNN and its mask heads as keys of detectron2's configuration.

4x conv and PointRend are detectron2's own heads; SharpMask's and any from outside the package are
ours, registered with detectron2 (`own_heads.py`) and named here by their settings.
"""

import json
import math

from pointrend_repro.engines.detectron2.keys import (
    BASE,
    Key,
    backbone_keys,
    backbone_problems,
)
from pointrend_repro.engines.detectron2.mask_rcnn_keys import (
    loss_keys,
    map_problems,
    one_map_keys,
    roi_layer_keys,
    roi_layer_problems,
)
from pointrend_repro.engines.detectron2.pointrend_keys import (
    BOX_LEVELS,
    POINTREND_BASE,
    pointrend_keys,
    pointrend_problems,
)
from pointrend_repro.settings.heads import (
    Conv4HeadSettings,
    MaskHeadSettings,
    MaskScoringSettings,
    NoMaskSettings,
    PointRendHeadSettings,
    Res5MaskSettings,
    SharpMaskHeadSettings,
)
from pointrend_repro.settings.instances import (
    DetectorSettings,
    InferenceSettings,
    ModelSettings,
)


def detector_keys(settings: ModelSettings, num_classes: int) -> list[Key]:
    """Translate a detector: trunk, proposals, box head, mask head."""
    keys = [
        Key("MODEL.META_ARCHITECTURE", "GeneralizedRCNN", BASE),
        *backbone_keys(settings.backbone),
        *_proposal_keys(settings.detector),
        *_box_keys(settings.detector, num_classes),
        *roi_layer_keys(settings, "MODEL.ROI_BOX_HEAD"),
        Key("MODEL.MASK_ON", not isinstance(settings.mask_head, NoMaskSettings), "model.mask_head"),
        # Our masks are full-size bit masks too; polygons could not be mixed with run lengths.
        Key("INPUT.MASK_FORMAT", "bitmask", POINTREND_BASE),
        *_mask_head_keys(settings, num_classes),
        *one_map_keys(settings),
    ]
    return list({key.name: key for key in keys}.values())  # later ones replace a pyramid's


def detector_problems(settings: ModelSettings) -> list[str]:
    """Return the settings of a detector that detectron2 does not support."""
    problems = backbone_problems(settings.backbone)
    match settings.mask_head:
        case PointRendHeadSettings() as head:
            problems += pointrend_problems(head, settings.backbone.fpn_channels)
        case SharpMaskHeadSettings(coarse_stage_share=float()):
            problems.append("model.mask_head.coarse_stage_share: training in two stages")
        case Conv4HeadSettings(mask_scoring=MaskScoringSettings()):
            problems.append("model.mask_head.mask_scoring")
        case Conv4HeadSettings(mask_loss="softmax"):
            problems.append("model.mask_head.mask_loss softmax")
    for key in ("box_head_dropout", "roi_negative_from"):
        if value := getattr(settings.detector, key):
            problems.append(f"model.detector.{key} {value}")
    if settings.rpn_only:
        problems.append("training of proposals alone here (model.rpn_only); leave out `engine`")
    if settings.keypoint_head is not None:
        problems.append("keypoints here (model.keypoint_head); leave out `engine`")
    return [*problems, *roi_layer_problems(settings), *map_problems(settings)]


def detector_inference_keys(head: MaskHeadSettings, settings: InferenceSettings) -> list[Key]:
    """Translate how a mask head predicts its masks."""
    if isinstance(head, Conv4HeadSettings | NoMaskSettings | Res5MaskSettings):
        return []
    if not isinstance(head, PointRendHeadSettings):
        return [_own_inference(settings)]
    steps = int(math.log2(settings.output_resolution // head.coarse_resolution))
    return [
        Key("MODEL.POINT_HEAD.SUBDIVISION_STEPS", steps, "inference.output_resolution"),
        Key(
            "MODEL.POINT_HEAD.SUBDIVISION_NUM_POINTS",
            settings.points_per_step,
            "inference.points_per_step",
        ),
    ]


def detector_inference_problems(head: MaskHeadSettings, settings: InferenceSettings) -> list[str]:
    """Return the inference settings that detectron2 does not support."""
    if settings.proposals_only:
        return ["inference.proposals_only"]
    # It merges views otherwise (GeneralizedRCNNWithTTA), has no soft-NMS, and predicts in fp32.
    own = {"nms": "hard", "flip": False, "more_short_edges_px": (), "precision": "fp32"}
    asked = settings.test.model_dump(include=set(own), exclude_none=True)
    problems = [f"inference.test.{key} {asked[key]}" for key in asked if asked[key] != own[key]]
    return problems or _point_problems(head, settings)


def _point_problems(head: MaskHeadSettings, settings: InferenceSettings) -> list[str]:
    if not isinstance(head, PointRendHeadSettings):
        return []
    doublings = math.log2(settings.output_resolution / head.coarse_resolution)
    if doublings < 0 or doublings != int(doublings):
        return [
            f"inference.output_resolution {settings.output_resolution}, which is not a doubling of "
            f"{head.coarse_resolution}"
        ]
    # It doubles its first grid as long as all points of the next one fit into a step, and fails if
    # that goes beyond the requested resolution.
    if 4 * settings.output_resolution**2 <= settings.points_per_step:
        return [
            f"inference.points_per_step {settings.points_per_step} for masks of "
            f"{settings.output_resolution}x{settings.output_resolution}"
        ]
    return []


def _proposal_keys(settings: DetectorSettings) -> list[Key]:
    own = "model.detector"
    sizes = [[size] for size in settings.anchor_sizes_px]
    return [
        Key("MODEL.ANCHOR_GENERATOR.SIZES", sizes, f"{own}.anchor_sizes_px"),
        Key(
            "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS",
            [list(settings.anchor_ratios)],
            f"{own}.anchor_ratios",
        ),
        Key("MODEL.RPN.IN_FEATURES", [*BOX_LEVELS, "p6"], BASE),
        Key(
            "MODEL.RPN.BATCH_SIZE_PER_IMAGE",
            settings.rpn_batch_per_image,
            f"{own}.rpn_batch_per_image",
        ),
        Key("MODEL.RPN.PRE_NMS_TOPK_TRAIN", settings.rpn_pre_nms_train, f"{own}.rpn_pre_nms_train"),
        Key("MODEL.RPN.PRE_NMS_TOPK_TEST", settings.rpn_pre_nms_test, f"{own}.rpn_pre_nms_test"),
        Key(
            "MODEL.RPN.POST_NMS_TOPK_TRAIN",
            settings.rpn_post_nms_train or settings.rpn_post_nms,
            f"{own}.rpn_post_nms",
        ),
        Key("MODEL.RPN.POST_NMS_TOPK_TEST", settings.rpn_post_nms, f"{own}.rpn_post_nms"),
        Key("MODEL.RPN.NMS_THRESH", settings.rpn_nms_iou, f"{own}.rpn_nms_iou"),
        *loss_keys(settings),
    ]


def _box_keys(settings: DetectorSettings, num_classes: int) -> list[Key]:
    own, heads = "model.detector", "MODEL.ROI_HEADS"
    return [
        Key(f"{heads}.NAME", "StandardROIHeads", BASE),
        Key(f"{heads}.IN_FEATURES", BOX_LEVELS, BASE),
        Key(f"{heads}.NUM_CLASSES", num_classes, "the data set"),
        Key(
            f"{heads}.BATCH_SIZE_PER_IMAGE",
            settings.roi_batch_per_image,
            f"{own}.roi_batch_per_image",
        ),
        Key(
            f"{heads}.POSITIVE_FRACTION",
            settings.roi_positive_fraction,
            f"{own}.roi_positive_fraction",
        ),
        Key(f"{heads}.SCORE_THRESH_TEST", settings.score_threshold, f"{own}.score_threshold"),
        Key(f"{heads}.NMS_THRESH_TEST", settings.nms_iou, f"{own}.nms_iou"),
        Key(
            "TEST.DETECTIONS_PER_IMAGE",
            settings.detections_per_image,
            f"{own}.detections_per_image",
        ),
        Key("MODEL.ROI_BOX_HEAD.NAME", "FastRCNNConvFCHead", BASE),
        Key("MODEL.ROI_BOX_HEAD.NUM_FC", settings.box_head_layers, f"{own}.box_head_layers"),
        Key(
            "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION",
            settings.box_roi_resolution,
            f"{own}.box_roi_resolution",
        ),
        Key("MODEL.ROI_BOX_HEAD.FC_DIM", settings.box_head_channels, f"{own}.box_head_channels"),
    ]


def _mask_head_keys(settings: ModelSettings, num_classes: int) -> list[Key]:
    match settings.mask_head:
        case Conv4HeadSettings() as head:
            return [*_conv4_keys(head), *roi_layer_keys(settings, "MODEL.ROI_MASK_HEAD")]
        case NoMaskSettings() | Res5MaskSettings():  # the latter's: `one_map_keys`
            return []
        case PointRendHeadSettings() as head:
            return pointrend_keys(head, settings.backbone.fpn_channels, num_classes)
        case head:
            return _own_head_keys(head)


def _conv4_keys(head: Conv4HeadSettings) -> list[Key]:
    name, own = "MODEL.ROI_MASK_HEAD", "model.mask_head"
    agnostic = [Key(f"{name}.CLS_AGNOSTIC_MASK", True, f"{own}.class_agnostic")]
    return [
        *(agnostic if head.class_agnostic else []),
        Key(f"{name}.NAME", "MaskRCNNConvUpsampleHead", BASE),
        Key(f"{name}.NUM_CONV", 4, BASE),
        Key(f"{name}.CONV_DIM", head.channels, f"{own}.channels"),
        Key(f"{name}.POOLER_RESOLUTION", head.roi_resolution, f"{own}.roi_resolution"),
    ]


def _own_head_keys(head: MaskHeadSettings) -> list[Key]:
    own = "model.mask_head"
    text = json.dumps(head.model_dump(mode="json"), sort_keys=True)
    return [
        # The trunk's stages, which SharpMask's skip features come from, besides the pyramid's.
        Key("MODEL.BACKBONE.NAME", "build_pyramid_and_trunk", own),
        Key("MODEL.ROI_HEADS.NAME", "HeadsWithOwnMaskHead", own),
        Key("MODEL.ROI_MASK_HEAD.NAME", "OwnMaskHead", own),
        Key("MODEL.ROI_MASK_HEAD.POOLER_TYPE", "", own),
        Key("MODEL.ROI_MASK_HEAD.OWN_SETTINGS", text, own),
    ]


def _own_inference(settings: InferenceSettings) -> Key:
    text = json.dumps(settings.model_dump(mode="json", exclude={"test"}), sort_keys=True)
    return Key("MODEL.ROI_MASK_HEAD.OWN_INFERENCE", text, "inference")
