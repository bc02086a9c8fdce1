"""What detectron2's `.pkl` files leave to its configuration, and which models it does not have.

detectron2 takes the order of channels, the place of the stride and the pixels' values from its
configuration, whatever a file says. So a file that is written here tells what no tensor does under
a key of ours, which detectron2 ignores, and whoever writes it is told what to configure.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.settings.backbone import BackboneSettings

KEY = "pointrend_repro"

# Our settings, whose defaults are detectron2's, and its keys (commit 02b5c4e2, config/defaults.py).
_ITS_KEYS = {
    "channel_order": "INPUT.FORMAT",
    "stride_in_1x1": "MODEL.RESNETS.STRIDE_IN_1X1",
    "pixel_mean": "MODEL.PIXEL_MEAN",
    "pixel_std": "MODEL.PIXEL_STD",
}
_ITS_MASK_HEADS = ("none", "4conv", "pointrend", "res5")
_ITS_TRUNKS = ("resnet", "resnext")
# The pixels' values are tensors of the file.
_UNDER_OUR_KEY: dict[str, tuple[Any, ...]] = {
    "channel_order": ("RGB", "BGR"),
    "stride_in_1x1": (True, False),
}


def what_no_tensor_tells(backbone: BackboneSettings) -> dict[str, Any]:
    """Return the settings that a file has under `KEY`."""
    return {key: getattr(backbone, key) for key in _UNDER_OUR_KEY}


def told_under_our_key(path: Path, content: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what a file's content tells of its backbone under `KEY`; nothing if it has no such.

    Raises:
        UserError: it tells anything else there.
    """
    told = content.get(KEY, {})
    if isinstance(told, dict) and all(_is_known(key, value) for key, value in told.items()):
        return dict(told)
    raise UserError(
        f"{path}: {KEY} is not channel_order (RGB or BGR) and stride_in_1x1 (true or false); "
        "convert it again"
    )


def _is_known(key: Any, value: Any) -> bool:
    known = _UNDER_OUR_KEY.get(key, ())
    return any(type(value) is type(each) and value == each for each in known)


def to_configure(backbone: BackboneSettings) -> str:
    """Return what detectron2's configuration has to say since its defaults differ; or nothing."""
    differing = {
        theirs: getattr(backbone, ours)
        for ours, theirs in _ITS_KEYS.items()
        if getattr(backbone, ours) != BackboneSettings.model_fields[ours].default
    }
    return ", ".join(f"{key}: {_as_yaml(value)}" for key, value in differing.items())


def _as_yaml(value: Any) -> str:
    return str(list(value) if isinstance(value, tuple) else value)


def what_it_lacks(model: Any) -> str | None:
    """Return a part of a model that detectron2 has not, whatever its configuration; or None.

    Args:
        model: settings of a detector or a semantic model (families with `engines.detectron2`).
    """
    head, backbone = getattr(model, "mask_head", None), model.backbone
    if head is not None and head.kind not in _ITS_MASK_HEADS:
        return f"mask head {head.kind}"
    if getattr(head, "mask_scoring", None) is not None:
        return "mask scoring"
    if not backbone.name.startswith(_ITS_TRUNKS):
        return f"trunk {backbone.name}"
    if backbone.context_ratio is not None:
        return "GC blocks"
    return "BFP" if backbone.balancing_blocks else None
