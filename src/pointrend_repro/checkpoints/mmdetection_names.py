"""Renames mmdetection's detectors with a feature pyramid to ours.

Since mmdetection 2.0 the tensors are the same in both: background is the last class, deltas are
(dx, dy, dw, dh) class by class, anchors are ordered by ratio, and RoI features are flattened as
(C, H, W). Before 2.0 other conventions held (`mmdetection1_names`).

The trunk has torchvision's names (`torchvision_names`). Source: mmdetection 3.3, whose own models
wrote the names and arrays in `tests/recorded/mmdetection_{pointrend,htc}.npz`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pointrend_repro.checkpoints.torchvision_names import from_torchvision

T = TypeVar("T")

_TRUNK = "backbone."
COARSE, POINTS = "mask_head.coarse_head.", "mask_head.point_head."


def plus_one(before: str) -> Any:
    """Return what replaces a number by the next: layers are counted from 1 here and 0 there."""
    return lambda match: f"{before}{int(match[1]) + 1}."


SHARED: tuple[tuple[str, Any], ...] = (
    (r"neck\.(?:0\.)?lateral_convs\.(\d)\.conv\.", r"backbone.fpn.inner_blocks.\1.0."),
    (r"neck\.(?:0\.)?fpn_convs\.(\d)\.conv\.", r"backbone.fpn.layer_blocks.\1.0."),
    (r"neck\.1\.refine\.(g|theta|phi)\.conv\.", r"backbone.balance.blocks.0.\1."),
    (r"neck\.1\.refine\.conv_out\.conv\.", r"backbone.balance.blocks.0.out."),
    (r"neck\.1\.refine\.(\d)\.(g|theta|phi)\.conv\.", r"backbone.balance.blocks.\1.\2."),
    (r"neck\.1\.refine\.(\d)\.conv_out\.conv\.", r"backbone.balance.blocks.\1.out."),
    (r"rpn_head\.rpn_conv\.", "rpn.conv."),
    (r"rpn_head\.rpn_cls\.", "rpn.objectness_logits."),
    (r"rpn_head\.rpn_reg\.", "rpn.anchor_deltas."),
)
HEADS: tuple[tuple[str, Any], ...] = (
    (r"bbox_head\.shared_fcs\.(\d)\.", plus_one("box_head.fc")),
    (r"bbox_head\.fc_cls\.", "box_head.cls_score."),
    (r"bbox_head\.fc_reg\.", "box_head.bbox_pred."),
    (r"mask_head\.convs\.(\d)\.conv\.", r"mask_head.convs.\1."),
    (r"mask_head\.upsample\.", "mask_head.deconv."),
    (r"mask_head\.conv_logits\.", "mask_head.predictor."),
)
_POINTREND: tuple[tuple[str, Any], ...] = (
    (r"roi_head\.mask_head\.downsample_conv\.conv\.", f"{COARSE}reduce."),
    (r"roi_head\.mask_head\.fcs\.(\d)\.", plus_one(f"{COARSE}fc")),
    (r"roi_head\.mask_head\.fc_logits\.", f"{COARSE}prediction."),
    (r"roi_head\.point_head\.fcs\.(\d)\.conv\.", rf"{POINTS}layers.\1."),
    (r"roi_head\.point_head\.fc_logits\.", f"{POINTS}predictor."),
)
# Hybrid Task Cascade, and the head of Mask Scoring R-CNN on its last stage.
_CASCADE: tuple[tuple[str, Any], ...] = (
    (r"roi_head\.bbox_head\.(\d)\.shared_fcs\.0\.", r"box_heads.\1.fc1."),
    (r"roi_head\.bbox_head\.(\d)\.shared_fcs\.1\.", r"box_heads.\1.fc2."),
    (r"roi_head\.bbox_head\.(\d)\.fc_cls\.", r"box_heads.\1.cls_score."),
    (r"roi_head\.bbox_head\.(\d)\.fc_reg\.", r"box_heads.\1.bbox_pred."),
    (r"roi_head\.mask_head\.(\d)\.convs\.(\d)\.conv\.", r"mask_head.stages.\1.convs.\2."),
    (r"roi_head\.mask_head\.(\d)\.upsample\.", r"mask_head.stages.\1.deconv."),
    (r"roi_head\.mask_head\.(\d)\.conv_logits\.", r"mask_head.stages.\1.predictor."),
    (r"roi_head\.mask_head\.(\d)\.conv_res\.conv\.", r"mask_head.stages.\1.from_before."),
    (r"roi_head\.mask_iou_head\.convs\.(\d)\.", r"mask_head.iou_head.convs.\1."),
    (r"roi_head\.mask_iou_head\.fcs\.(\d)\.", r"mask_head.iou_head.hidden.\1."),
    (r"roi_head\.mask_iou_head\.fc_mask_iou\.", "mask_head.iou_head.predictor."),
)
_OF_ROI_HEAD = tuple((rf"roi_head\.{theirs}", ours) for theirs, ours in HEADS)
_SINCE_2 = (*SHARED, *_OF_ROI_HEAD, *_POINTREND, *_CASCADE)


def is_mmdetection(names: Iterable[str]) -> bool:
    """Return whether these are mmdetection's names for a model with a trunk and more."""
    found = set(names)
    parts = ("neck.", "rpn_head.", "roi_head.", "bbox_head.")
    return "backbone.layer1.0.conv1.weight" in found and any(n.startswith(parts) for n in found)


def from_mmdetection(tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename a state dict of mmdetection 2.0 or later; names of other heads stay as they are."""
    return renamed(tensors, _SINCE_2)


def renamed(tensors: Mapping[str, T], heads: Iterable[tuple[str, Any]]) -> dict[str, T]:
    """Rename a trunk, and what lies after it by the first pattern that fits.

    Args:
        heads: patterns of the beginnings of names, and what takes their places, as of `re.sub`.
    """
    trunk = {n.removeprefix(_TRUNK): t for n, t in tensors.items() if n.startswith(_TRUNK)}
    found = {f"backbone.bottom_up.{name}": t for name, t in from_torchvision(trunk).items()}
    patterns = [(re.compile(f"^{theirs}"), ours) for theirs, ours in heads]
    for name, tensor in tensors.items():
        if not name.startswith(_TRUNK):
            found[_replaced(name, patterns)] = tensor
    return found


def _replaced(name: str, patterns: list[tuple[re.Pattern[str], Any]]) -> str:
    for pattern, ours in patterns:
        if pattern.match(name):
            return pattern.sub(ours, name)
    return name
