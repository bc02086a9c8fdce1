"""detectron2's names for the parameters of semantic models, both ways (commit 02b5c4e2).

Only what is specific to semantic models: their decoders, their point head, and DeepLabV3's trunk,
which detectron2 has directly under `backbone`. Names of the feature pyramid are the same as in
detectors and are left to `detectron2_names`, as are the names of all other models.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

_OUR_DECODER = "decoder."
_OUR_POINT_HEAD = "refiner.point_head."
_OUR_TRUNK = "backbone.bottom_up."
_OUR_FPN = "backbone.fpn."

_HEAD = "sem_seg_head."
_COARSE_HEAD = "sem_seg_head.coarse_sem_seg_head."
_POINT_HEAD = "sem_seg_head.point_head."

_OUR_POOLING, _POOLING = "aspp.image_pooling.", "aspp.convs.4.1."


def semantic_to_detectron2(tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename the specific parts of a semantic model; other models stay as they are."""
    if not _any_starts(tensors, _OUR_DECODER):
        return dict(tensors)
    decoder = _COARSE_HEAD if _any_starts(tensors, _OUR_POINT_HEAD) else _HEAD
    trunk = _OUR_TRUNK if _any_starts(tensors, _OUR_FPN) else "backbone."
    renamed = {}
    for name, value in tensors.items():
        if name.startswith(_OUR_DECODER):
            name = decoder + _decoder_to_detectron2(name.removeprefix(_OUR_DECODER))
        elif name.startswith(_OUR_POINT_HEAD):
            name = _POINT_HEAD + re.sub(
                r"^layers\.(\d+)\.",
                lambda found: f"fc{int(found[1]) + 1}.",
                name.removeprefix(_OUR_POINT_HEAD),
            )
        elif name.startswith(_OUR_TRUNK):
            name = trunk + name.removeprefix(_OUR_TRUNK)
        renamed[name] = value
    return renamed


def semantic_from_detectron2(tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename the specific parts of a detectron2 semantic model; other models stay as they are."""
    if not _any_starts(tensors, _HEAD):
        return dict(tensors)
    has_fpn = _any_starts(tensors, "backbone.fpn_") or _any_starts(tensors, _OUR_TRUNK)
    renamed = {}
    for name, value in tensors.items():
        if name.startswith(_POINT_HEAD):
            name = _OUR_POINT_HEAD + re.sub(
                r"^fc(\d+)\.",
                lambda found: f"layers.{int(found[1]) - 1}.",
                name.removeprefix(_POINT_HEAD),
            )
        elif name.startswith(_HEAD):
            decoder = _COARSE_HEAD if name.startswith(_COARSE_HEAD) else _HEAD
            name = _OUR_DECODER + _decoder_from_detectron2(name.removeprefix(decoder))
        elif name.startswith("backbone.") and not has_fpn:
            name = _OUR_TRUNK + name.removeprefix("backbone.")
        renamed[name] = value
    return renamed


def _decoder_to_detectron2(name: str) -> str:
    """Rename inside a decoder. detectron2 also counts SemanticFPN's upsamplings as layers."""
    name = re.sub(r"^levels\.(p\d)\.convs\.(\d+)\.", lambda f: f"{f[1]}.{2 * int(f[2])}.", name)
    return _replace_start(name, _OUR_POOLING, _POOLING)


def _decoder_from_detectron2(name: str) -> str:
    name = re.sub(r"^(p\d)\.(\d+)\.", lambda f: f"levels.{f[1]}.convs.{int(f[2]) // 2}.", name)
    return _replace_start(name, _POOLING, _OUR_POOLING)


def _replace_start(name: str, old: str, new: str) -> str:
    return new + name.removeprefix(old) if name.startswith(old) else name


def _any_starts(names: Mapping[str, T], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)
