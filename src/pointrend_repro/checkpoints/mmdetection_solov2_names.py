"""Renames mmdetection's SOLOv2 to ours.

The tensors are the same in both. Source: mmdetection 3.3, whose own models wrote the names in
`tests/recorded/mmdetection_solov2.npz`; its published files are of 2022, from version 2.25, which
has the same names.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pointrend_repro.checkpoints.mmdetection_names import SHARED, renamed

T = TypeVar("T")

# A convolution and its norm: parts of one module there, one in the other here.
_PARTS = ((r"conv\.", ""), (r"gn\.", "norm."))
_WITH_NORM = (
    (r"mask_head\.kernel_convs\.(\d+)\.", r"head.kernel_tower.\1."),
    (r"mask_head\.cls_convs\.(\d+)\.", r"head.class_tower.\1."),
    (
        r"mask_head\.mask_feature_head\.convs_all_levels\.(\d)\.conv(\d)\.",
        r"head.mask_map.levels.\1.\2.",
    ),
    (r"mask_head\.mask_feature_head\.conv_pred\.", "head.mask_map.predictor."),
)
_HEAD: tuple[tuple[str, Any], ...] = (
    *((theirs + part, ours + own) for theirs, ours in _WITH_NORM for part, own in _PARTS),
    (r"mask_head\.conv_kernel\.", "head.kernel_predictor."),
    (r"mask_head\.conv_cls\.", "head.class_predictor."),
)


def is_mmdetection_solov2(names: Iterable[str]) -> bool:
    """Return whether these are mmdetection's names for a SOLOv2."""
    return {"mask_head.conv_kernel.weight", "mask_head.conv_cls.weight"} <= set(names)


def from_mmdetection_solov2(tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename a state dict of mmdetection's SOLOv2 to ours; unknown names stay as they are."""
    return renamed(tensors, (*SHARED, *_HEAD))
