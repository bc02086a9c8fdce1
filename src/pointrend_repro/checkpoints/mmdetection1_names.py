"""Renames detectors of mmdetection 1.x, among them the 3D-FUTURE challenge's winner's, to ours.

Their tensors are brought into our order: background is the last class instead of the first, and
masks have no channel for it. That channel takes no loss of its own, but the winner's point head
reads it, so it goes with a loss. Nor can such a model find the same boxes here: its boxes include
their last pixel, anchors are rounded and centred in their cells, and RoIAlign has no shift of half
a cell. Trunk, pyramid and BFP compute the same. docs/weights.md says what that means for users.

Source: github.com/zehuichen123/3DFuture_ins_seg at 6caaf9cd, mmdet_furniture/mmdet/models.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from pointrend_repro.checkpoints.mmdetection_names import COARSE, HEADS, POINTS, SHARED, renamed

_THEIR_COARSE = r"point_rend_roihead\.mask_coarse_head\."
_THEIR_POINTS = r"point_rend_roihead\.mask_point_head\."


def _minus_one(match: re.Match[str]) -> str:
    return f"{POINTS}layers.{int(match[1]) - 1}."


_POINTREND: tuple[tuple[str, Any], ...] = (
    (rf"{_THEIR_COARSE}reduce_channel_dim_conv\.0\.", f"{COARSE}reduce_channels."),
    (rf"{_THEIR_COARSE}reduce_spatial_dim_conv\.0\.", f"{COARSE}reduce."),
    (rf"{_THEIR_COARSE}coarse_mask_fc(\d)\.", rf"{COARSE}fc\1."),
    (rf"{_THEIR_COARSE}prediction\.", f"{COARSE}prediction."),
    (rf"{_THEIR_POINTS}fc(\d)\.", _minus_one),
    (rf"{_THEIR_POINTS}predictor\.", f"{POINTS}predictor."),
)
_UNREAD = re.compile(r"bbox_head\.(\d\.fc_cls|solo_cate|dsolo_cate)\.")
_HEADS_OF_1 = re.compile(rf"{_UNREAD.pattern}|bbox_head\.fc_cls\.|point_rend_roihead\.")
_CLASSES = "box_head.cls_score.bias"
_BOXES = ("box_head.bbox_pred.weight", "box_head.bbox_pred.bias")


def is_mmdetection1(names: Iterable[str]) -> bool:
    """Return whether mmdetection's names are those before 2.0, which has heads in `roi_head`."""
    return any(_HEADS_OF_1.match(name) for name in names)


def has_unread_heads(names: Iterable[str]) -> bool:
    """Return whether a model of mmdetection 1.x is a cascade or a SOLO: its heads are not read.

    A later cascade has its heads in `roi_head`, and a later SOLO has a `mask_head` alone.
    """
    return any(_UNREAD.match(name) for name in names)


def from_mmdetection1(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict of mmdetection 1.x, with its classes in our order.

    Tensors without an order, such as sparse ones, stay as they are: they are refused later.
    """
    found = renamed(tensors, (*SHARED, *HEADS, *_POINTREND))
    classes = found.get(_CLASSES)
    if classes is None or not _has_an_order(classes) or classes.dim() != 1 or not len(classes):
        return found
    outputs = len(classes)  # background and the classes
    return {
        name: _in_our_order(name, tensor, outputs) if _has_an_order(tensor) else tensor
        for name, tensor in found.items()
    }


def _has_an_order(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided and not tensor.is_quantized and tensor.dim() > 0


def _in_our_order(name: str, tensor: Tensor, outputs: int) -> Tensor:
    if name.startswith("box_head.cls_score."):
        return tensor.roll(-1, dims=0)
    if name.startswith("mask_head.predictor.") or name.startswith(f"{COARSE}prediction."):
        return _without_background(tensor, outputs)
    if name in _BOXES and len(tensor) == 4 * outputs:  # not if all classes share a box
        return _without_background(tensor, outputs)
    if name.startswith(POINTS) and name.endswith(".weight") and tensor.dim() == 3:
        others = max(tensor.shape[1] - outputs, 0)
        tensor = torch.cat([tensor[:, :others], tensor[:, others + 1 :]], dim=1)
    if name.startswith(f"{POINTS}predictor."):
        return _without_background(tensor, outputs)
    return tensor


def _without_background(tensor: Tensor, outputs: int) -> Tensor:
    """Leave out the first of the parts, as many as there are outputs, that lie along an axis."""
    return tensor if len(tensor) % outputs else tensor[len(tensor) // outputs :]
