"""Mask heads from outside this package, found by import path or entry point (docs/your_head.md)."""

import inspect
from pathlib import Path
from typing import Any

from torch import nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.named_code import named_code
from pointrend_repro.base.provenance import record_file
from pointrend_repro.modeling.pooling import RoiLayer, pool_rois
from pointrend_repro.settings.heads import PluginHeadSettings

ENTRY_POINT_GROUP = "pointrend_repro.mask_heads"
_REQUIRED = ("losses", "predict", "train_on_refined_boxes")


def build_plugin_head(
    settings: PluginHeadSettings,
    *,
    in_channels: int,
    trunk_channels: tuple[int, ...],
    num_classes: int,
    roi_layer: RoiLayer = pool_rois,
) -> nn.Module:
    """Make the mask head that `settings.head` names.

    The class is called with the three sizes and its own settings, all as keyword arguments, and
    with the detector's RoI layer if it has an argument `roi_layer`.

    Raises:
        UserError: there is no such class, it is not a mask head, or its settings do not fit.
    """
    head_class = find_head(settings.head)
    given: dict[str, Any] = {
        "in_channels": in_channels,
        "trunk_channels": trunk_channels,
        "num_classes": num_classes,
    }
    if "roi_layer" in inspect.signature(head_class).parameters:
        given["roi_layer"] = roi_layer
    own = _require_settings(head_class, settings, given)
    head: nn.Module = head_class(**given, **own)
    return head


def find_head(name: str) -> type[nn.Module]:
    """Return the class that a variant's `mask_head.head` names.

    Args:
        name: `module:Class`, or the name of an entry point.

    Raises:
        UserError: there is no such class, or it is not a mask head.
    """
    found: Any = named_code(name, what="mask head", group=ENTRY_POINT_GROUP).load()
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        raise UserError(f"mask head {name!r}: is not a subclass of torch.nn.Module")
    lacking = [part for part in _REQUIRED if not hasattr(found, part)]
    if lacking:
        raise UserError(f"mask head {name!r}: has no {', '.join(lacking)}; see docs/your_head.md")
    record_file(found.__module__, Path(inspect.getfile(found)))
    return found


def _require_settings(
    head_class: type[nn.Module], settings: PluginHeadSettings, given: dict[str, Any]
) -> dict[str, Any]:
    reserved = sorted(set(given) & set(settings.settings))
    if reserved:
        raise UserError(f"mask head {settings.head!r}: settings {reserved} follow from the model")
    try:
        inspect.signature(head_class).bind(**given, **settings.settings)
    except TypeError as error:
        raise UserError(f"mask head {settings.head!r}: {error}; see docs/your_head.md") from None
    return settings.settings
