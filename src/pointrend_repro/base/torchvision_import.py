"""Imports torchvision without torch's compiler: 1.5 s of CPU time and 140 MB less per process.

`torchvision.ops.roi_align` imports `is_compile_supported` from `torch._dynamo.utils`, and with it
the whole compiler, but calls it only for deterministic algorithms on a GPU. A stand-in is enough
until then.
"""

import importlib
import sys
import types
from typing import Any

_COMPILER = "torch._dynamo.utils"


def import_torchvision() -> None:
    """Import torchvision; the compiler is still imported as soon as something uses it.

    Calling this before anything else imports torchvision saves time; calling it later does no harm.
    """
    if "torchvision" in sys.modules:
        return
    importlib.import_module("torch")  # which may need the compiler itself
    stand_in = types.ModuleType(_COMPILER)
    stand_in.__dict__.update(is_compile_supported=_is_compile_supported, __getattr__=_from_compiler)
    sys.modules.setdefault(_COMPILER, stand_in)  # unless the compiler is there already
    try:
        importlib.import_module("torchvision")
    finally:
        _take_away(stand_in)


def _is_compile_supported(device_type: str) -> bool:
    supported: bool = _from_compiler("is_compile_supported")(device_type)
    return supported


def _from_compiler(name: str) -> Any:
    """Return an attribute of the real module, once the stand-in is gone."""
    if name.startswith("__"):  # `inspect` asks every module for these
        raise AttributeError(name)
    found = sys.modules.get(_COMPILER)
    if isinstance(found, types.ModuleType) and found.__spec__ is None:
        _take_away(found)
    return getattr(importlib.import_module(_COMPILER), name)


def _take_away(stand_in: types.ModuleType) -> None:
    if sys.modules.get(_COMPILER) is stand_in:
        del sys.modules[_COMPILER]
