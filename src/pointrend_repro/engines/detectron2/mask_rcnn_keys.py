"""What the Mask R-CNN paper has besides a pyramid, RoIAlign and L1, as detectron2's keys.

The keys of detectors on one map, C4 and C5, come after those of a pyramid and replace them.
"""

from pointrend_repro.engines.detectron2.keys import Key
from pointrend_repro.settings.heads import (
    MlpMaskSettings,
    Res5MaskSettings,
    SharpMaskHeadSettings,
)
from pointrend_repro.settings.instances import (
    SMOOTH_L1_BETA,
    SMOOTH_L1_BETA_RPN,
    DetectorSettings,
    ModelSettings,
    RoiLayerSettings,
)

_C4_BASE = "detectron2's configs/Base-RCNN-C4.yaml"
_C5_BASE = "detectron2's configs/Base-RCNN-DilatedC5.yaml"
_CROP = 14  # cells along a box that res5 halves


def one_map_keys(settings: ModelSettings) -> list[Key]:
    """Translate a backbone of one map, its anchors, and the heads that are others on it."""
    if settings.features == "fpn":
        return []
    stage, source = ("res4", _C4_BASE) if settings.features == "c4" else ("res5", _C5_BASE)
    sizes = [list(settings.detector.anchor_sizes_px)]
    return [
        Key("MODEL.BACKBONE.NAME", "build_resnet_backbone", source),
        Key("MODEL.RESNETS.OUT_FEATURES", [stage], "model.features"),
        Key("MODEL.RPN.IN_FEATURES", [stage], "model.features"),
        Key("MODEL.ROI_HEADS.IN_FEATURES", [stage], "model.features"),
        Key("MODEL.ANCHOR_GENERATOR.SIZES", sizes, "model.detector.anchor_sizes_px"),
        *(_c4_keys(settings) if settings.features == "c4" else _c5_keys(settings)),
    ]


def map_problems(settings: ModelSettings) -> list[str]:
    """Return the settings of a detector that do not fit its maps in detectron2, or not in ours."""
    problems = []
    stride = settings.backbone.output_stride
    if settings.features == "fpn" and stride != 32:
        problems.append(f"model.backbone.output_stride {stride} on features fpn (32)")
    if settings.features == "c4":
        if settings.detector.res5_stride != 2:
            problems.append(f"model.detector.res5_stride {settings.detector.res5_stride}")
        if settings.mask_head.kind not in ("res5", "none"):
            problems.append(f"model.mask_head.kind {settings.mask_head.kind} on features c4")
    if settings.features == "c5":
        if stride == 8:
            problems.append("model.backbone.output_stride 8 on features c5")
        if settings.mask_head.kind not in ("4conv", "none"):
            problems.append(f"model.mask_head.kind {settings.mask_head.kind} on features c5")
    if isinstance(settings.mask_head, Res5MaskSettings) and settings.mask_head.mask_loss != (
        "sigmoid"
    ):
        problems.append(f"model.mask_head.mask_loss {settings.mask_head.mask_loss}")
    return problems


def _c4_keys(settings: ModelSettings) -> list[Key]:
    keys = [
        Key("MODEL.ROI_HEADS.NAME", "Res5ROIHeads", _C4_BASE),
        Key("MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION", _CROP, "model.detector.res5_stride"),
    ]
    head, name, own = settings.mask_head, "MODEL.ROI_MASK_HEAD", "model.mask_head"
    if isinstance(head, Res5MaskSettings):
        keys += [
            Key(f"{name}.NAME", "MaskRCNNConvUpsampleHead", _C4_BASE),
            Key(f"{name}.NUM_CONV", 0, _C4_BASE),
            Key(f"{name}.CONV_DIM", head.channels, f"{own}.channels"),
            Key(f"{name}.POOLER_RESOLUTION", _CROP, "model.detector.res5_stride"),
            Key(f"{name}.CLS_AGNOSTIC_MASK", head.class_agnostic, f"{own}.class_agnostic"),
        ]
    return keys


def _c5_keys(settings: ModelSettings) -> list[Key]:
    dilation = 32 // settings.backbone.output_stride
    return [Key("MODEL.RESNETS.RES5_DILATION", dilation, "model.backbone.output_stride")]


def loss_keys(settings: DetectorSettings) -> list[Key]:
    """Translate the losses of proposals and boxes that detectron2's baselines do not have."""
    keys = []
    if settings.class_agnostic_boxes:
        source = "model.detector.class_agnostic_boxes"
        keys.append(Key("MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", True, source))
    if settings.box_loss == "smooth_l1":
        for head, beta in (("RPN", SMOOTH_L1_BETA_RPN), ("ROI_BOX_HEAD", SMOOTH_L1_BETA)):
            keys.append(Key(f"MODEL.{head}.SMOOTH_L1_BETA", beta, "model.detector.box_loss"))
    if settings.rpn_inside_anchors_only:
        source = "model.detector.rpn_inside_anchors_only"
        keys.append(Key("MODEL.RPN.BOUNDARY_THRESH", 0, source))
    return keys


def roi_layer_keys(settings: ModelSettings, head: str) -> list[Key]:
    """Name the RoI layer of one of detectron2's heads, unless it is detectron2's own."""
    layer, own = settings.detector.roi_layer, "model.detector.roi_layer"
    if layer == RoiLayerSettings():
        return []
    kind = "ROIPool" if layer.kind == "roi_pool" else "ROIAlignV2"
    return [
        Key(f"{head}.POOLER_TYPE", kind, f"{own}.kind"),
        Key(f"{head}.POOLER_SAMPLING_RATIO", layer.sampling_ratio, f"{own}.sampling_ratio"),
    ]


def roi_layer_problems(settings: ModelSettings) -> list[str]:
    """Return the RoI layers that detectron2 does not have."""
    layer, own = settings.detector.roi_layer, "model.detector.roi_layer"
    if layer.kind == "roi_warp":
        return [f"{own}.kind roi_warp"]
    if layer.kind == "roi_align" and layer.aggregation == "max":
        return [f"{own}.aggregation max of roi_align"]
    own_head = isinstance(settings.mask_head, SharpMaskHeadSettings | MlpMaskSettings)
    if layer != RoiLayerSettings() and own_head:
        return [f"{own} with model.mask_head.kind {settings.mask_head.kind}"]
    return []
