"""Renames mmdetection's Mask R-CNN, Mask Scoring R-CNN and HTC (2.0 and later) to ours.

The tensors are the same in both: background is the last class, deltas are (dx, dy, dw, dh), anchors
are ordered by ratio, and RoI features are flattened as (C, H, W). Before 2.0, background came first
and boxes included their last pixel: such a model does not find the same boxes here. Its heads are
not below `roi_head`, so their names stay as they are, and comparing with a model reports them.

The trunk has torchvision's names. Source: mmdetection 3.3, whose own models wrote the names in
`tests/recorded/mmdetection_htc`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from pointrend_repro.checkpoints.torchvision_names import from_torchvision

T = TypeVar("T")

_TRUNK = "backbone."
_RENAMED = (
    (r"neck\.lateral_convs\.(\d)\.conv\.", r"backbone.fpn.inner_blocks.\1.0."),
    (r"neck\.fpn_convs\.(\d)\.conv\.", r"backbone.fpn.layer_blocks.\1.0."),
    (r"rpn_head\.rpn_conv\.", "rpn.conv."),
    (r"rpn_head\.rpn_cls\.", "rpn.objectness_logits."),
    (r"rpn_head\.rpn_reg\.", "rpn.anchor_deltas."),
    (r"roi_head\.bbox_head\.(\d)\.shared_fcs\.0\.", r"box_heads.\1.fc1."),
    (r"roi_head\.bbox_head\.(\d)\.shared_fcs\.1\.", r"box_heads.\1.fc2."),
    (r"roi_head\.bbox_head\.(\d)\.fc_cls\.", r"box_heads.\1.cls_score."),
    (r"roi_head\.bbox_head\.(\d)\.fc_reg\.", r"box_heads.\1.bbox_pred."),
    (r"roi_head\.mask_head\.(\d)\.convs\.(\d)\.conv\.", r"mask_head.stages.\1.convs.\2."),
    (r"roi_head\.mask_head\.(\d)\.upsample\.", r"mask_head.stages.\1.deconv."),
    (r"roi_head\.mask_head\.(\d)\.conv_logits\.", r"mask_head.stages.\1.predictor."),
    (r"roi_head\.mask_head\.(\d)\.conv_res\.conv\.", r"mask_head.stages.\1.from_before."),
    (r"roi_head\.bbox_head\.shared_fcs\.0\.", "box_head.fc1."),
    (r"roi_head\.bbox_head\.shared_fcs\.1\.", "box_head.fc2."),
    (r"roi_head\.bbox_head\.fc_cls\.", "box_head.cls_score."),
    (r"roi_head\.bbox_head\.fc_reg\.", "box_head.bbox_pred."),
    (r"roi_head\.mask_head\.convs\.(\d)\.conv\.", r"mask_head.convs.\1."),
    (r"roi_head\.mask_head\.upsample\.", "mask_head.deconv."),
    (r"roi_head\.mask_head\.conv_logits\.", "mask_head.predictor."),
    (r"roi_head\.mask_iou_head\.convs\.(\d)\.", r"mask_head.iou_head.convs.\1."),
    (r"roi_head\.mask_iou_head\.fcs\.(\d)\.", r"mask_head.iou_head.hidden.\1."),
    (r"roi_head\.mask_iou_head\.fc_mask_iou\.", "mask_head.iou_head.predictor."),
)
_PATTERNS = [(re.compile(f"^{pattern}"), ours) for pattern, ours in _RENAMED]


def is_mmdetection(names: Iterable[str]) -> bool:
    """Return whether these are mmdetection's names for a detector in two stages or more."""
    return any(name.startswith("roi_head.bbox_head.") for name in names)


def from_mmdetection(tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename a state dict of mmdetection to ours; unknown names stay as they are."""
    trunk = {n.removeprefix(_TRUNK): t for n, t in tensors.items() if n.startswith(_TRUNK)}
    renamed = {f"backbone.bottom_up.{name}": t for name, t in from_torchvision(trunk).items()}
    others = {_rename(n): t for n, t in tensors.items() if not n.startswith(_TRUNK)}
    return renamed | others


def _rename(name: str) -> str:
    for pattern, ours in _PATTERNS:
        if pattern.match(name):
            return pattern.sub(ours, name)
    return name
