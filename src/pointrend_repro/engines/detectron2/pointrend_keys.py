"""PointRend's mask head as keys of detectron2's configuration."""

from pointrend_repro.engines.detectron2.keys import Key
from pointrend_repro.settings.heads import PointRendHeadSettings

POINTREND_BASE = "detectron2's Base-PointRend-RCNN-FPN.yaml"
BOX_LEVELS = ["p2", "p3", "p4", "p5"]


def pointrend_keys(head: PointRendHeadSettings, channels: int, num_classes: int) -> list[Key]:
    """Translate the head, on a pyramid whose maps have so many channels."""
    name, points, own = "MODEL.ROI_MASK_HEAD", "MODEL.POINT_HEAD", "model.mask_head"
    side = head.coarse_resolution
    return [
        Key(f"{name}.NAME", "PointRendMaskHead", POINTREND_BASE),
        Key(f"{name}.POOLER_TYPE", "", POINTREND_BASE),
        Key(f"{name}.POINT_HEAD_ON", True, POINTREND_BASE),
        Key(f"{name}.IN_FEATURES", list(head.levels), f"{own}.levels"),
        Key(f"{name}.NUM_FC", head.coarse_layers, f"{own}.coarse_layers"),
        Key(
            f"{name}.CONV_DIM",
            head.coarse_conv_channels or channels,
            f"{own}.coarse_conv_channels"
            if head.coarse_conv_channels
            else "model.backbone.fpn_channels",
        ),
        Key(f"{name}.POOLER_RESOLUTION", 2 * side, f"{own}.coarse_resolution"),
        Key(f"{name}.OUTPUT_SIDE_RESOLUTION", side, f"{own}.coarse_resolution"),
        Key(f"{name}.FC_DIM", head.coarse_channels, f"{own}.coarse_channels"),
        Key(f"{points}.NUM_CLASSES", num_classes, "the data set"),
        Key(f"{points}.IN_FEATURES", list(head.levels), f"{own}.levels"),
        Key(f"{points}.NUM_FC", head.point_layers, f"{own}.point_layers"),
        Key(f"{points}.FC_DIM", head.point_channels, f"{own}.point_channels"),
        Key(f"{points}.TRAIN_NUM_POINTS", head.train_points, f"{own}.train_points"),
        Key(f"{points}.OVERSAMPLE_RATIO", head.oversample_ratio, f"{own}.oversample_ratio"),
        Key(f"{points}.IMPORTANCE_SAMPLE_RATIO", head.importance_ratio, f"{own}.importance_ratio"),
        Key(
            "MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES",
            head.train_on_refined_boxes,
            f"{own}.train_on_refined_boxes",
        ),
    ]


def pointrend_problems(head: PointRendHeadSettings, channels: int) -> list[str]:
    """Return the settings of the head that detectron2's does not support.

    It is given the maps from which boxes are cropped, p2 to p5, and its convolution cannot have
    more channels than these have together.
    """
    problems = []
    if head.train_selection != "random":
        problems.append(f"model.mask_head.train_selection {head.train_selection}")
    if head.point_loss != "mean":
        problems.append(f"model.mask_head.point_loss {head.point_loss}")
    if not set(head.levels) <= set(BOX_LEVELS):
        problems.append(f"model.mask_head.levels {', '.join(head.levels)} (p2 to p5)")
    if (head.coarse_conv_channels or 0) > channels * len(head.levels):
        problems.append(f"model.mask_head.coarse_conv_channels {head.coarse_conv_channels}")
    return problems
