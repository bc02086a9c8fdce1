"""Mask heads from outside this package, found by import path or entry point (docs/your_head.md)."""

import importlib
import inspect
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.base.provenance import record_file
from pointrend_repro.settings.instances import PluginHeadSettings

ENTRY_POINT_GROUP = "pointrend_repro.mask_heads"
_REQUIRED = ("losses", "predict", "train_on_refined_boxes")


def build_plugin_head(
    settings: PluginHeadSettings,
    *,
    in_channels: int,
    trunk_channels: tuple[int, int, int, int],
    num_classes: int,
) -> nn.Module:
    """Make the mask head that `settings.head` names.

    The class is called with the three sizes and its own settings, all as keywords.

    Raises:
        UserError: there is no such class, it is no mask head, or its settings do not fit.
    """
    head_class = find_head(settings.head)
    sizes = {
        "in_channels": in_channels,
        "trunk_channels": trunk_channels,
        "num_classes": num_classes,
    }
    own = _require_settings(head_class, settings, sizes)
    head: nn.Module = head_class(**sizes, **own)
    return head


def find_head(name: str) -> type[nn.Module]:
    """Return the class that a variant's `mask_head.head` names.

    Args:
        name: `module:Class`, or the name of an entry point.

    Raises:
        UserError: there is no such class, or it is no mask head.
    """
    found: Any
    if ":" in name:
        module_name, class_name = name.split(":")
        module = _import(name, module_name)
        found = getattr(module, class_name, None)
        if found is None:
            hint = suggest(class_name, [key for key in vars(module) if not key.startswith("_")])
            raise UserError(f"mask head {name!r}: {module.__file__} has no {class_name!r}{hint}")
    else:
        found = _entry_point(name)
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        raise UserError(f"mask head {name!r}: is no subclass of torch.nn.Module")
    lacking = [part for part in _REQUIRED if not hasattr(found, part)]
    if lacking:
        raise UserError(f"mask head {name!r}: has no {', '.join(lacking)}; see docs/your_head.md")
    record_file(found.__module__, Path(inspect.getfile(found)))
    return found


def _import(name: str, module_name: str) -> ModuleType:
    here = str(Path.cwd())
    # At the end, so that a file of the current folder never stands in for an installed package.
    if here not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise UserError(
                f"mask head {name!r}: no module {module_name!r} in the installed packages or in "
                f"{here}"
            ) from None
        raise UserError(f"mask head {name!r}: needs module {missing!r}, which is missing") from None


def _entry_point(name: str) -> object:
    known = entry_points(group=ENTRY_POINT_GROUP)
    if name not in known.names:
        raise UserError(
            f"mask head {name!r}: is no entry point of group {ENTRY_POINT_GROUP} (there are: "
            f"{', '.join(sorted(known.names)) or 'none'}); a class is named module:Class"
        )
    return known[name].load()


def _require_settings(
    head_class: type[nn.Module], settings: PluginHeadSettings, sizes: dict[str, Any]
) -> dict[str, Any]:
    reserved = sorted(set(sizes) & set(settings.settings))
    if reserved:
        raise UserError(f"mask head {settings.head!r}: settings {reserved} follow from the model")
    try:
        inspect.signature(head_class).bind(**sizes, **settings.settings)
    except TypeError as error:
        raise UserError(f"mask head {settings.head!r}: {error}; see docs/your_head.md") from None
    return settings.settings
