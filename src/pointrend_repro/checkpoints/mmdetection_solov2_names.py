"""Renames mmdetection's SOLOv2 to ours.

The tensors are the same in both. The trunk has torchvision's names. Source: mmdetection 3.3, whose
own models wrote the names in `tests/recorded/mmdetection_solov2.npz`; its published files are of
2022, from version 2.25, which has the same names.
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
    (r"mask_head\.kernel_convs\.(\d+)\.", r"head.kernel_tower.\1."),
    (r"mask_head\.cls_convs\.(\d+)\.", r"head.class_tower.\1."),
    (r"mask_head\.conv_kernel\.", "head.kernel_predictor."),
    (r"mask_head\.conv_cls\.", "head.class_predictor."),
    (
        r"mask_head\.mask_feature_head\.convs_all_levels\.(\d)\.conv(\d)\.",
        r"head.mask_map.levels.\1.\2.",
    ),
    (r"mask_head\.mask_feature_head\.conv_pred\.", "head.mask_map.predictor."),
)
_PATTERNS = [(re.compile(f"^{pattern}"), ours) for pattern, ours in _RENAMED]
# A convolution and its norm are parts of one module there, and one in the other here.
_PARTS = {".gn.": ".norm.", ".conv.": "."}


def is_mmdetection_solov2(names: Iterable[str]) -> bool:
    """Return whether these are mmdetection's names for a SOLOv2."""
    return {"mask_head.conv_kernel.weight", "mask_head.conv_cls.weight"} <= set(names)


def from_mmdetection_solov2(tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename a state dict of mmdetection's SOLOv2 to ours; unknown names stay as they are."""
    trunk = {n.removeprefix(_TRUNK): t for n, t in tensors.items() if n.startswith(_TRUNK)}
    renamed = {f"backbone.bottom_up.{name}": t for name, t in from_torchvision(trunk).items()}
    others = {_rename(n): t for n, t in tensors.items() if not n.startswith(_TRUNK)}
    return renamed | others


def _rename(name: str) -> str:
    for pattern, ours in _PATTERNS:
        if pattern.match(name):
            renamed = pattern.sub(ours, name)
            for theirs, own in _PARTS.items():
                renamed = renamed.replace(theirs, own)
            return renamed
    return name
