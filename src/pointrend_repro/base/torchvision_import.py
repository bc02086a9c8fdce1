"""torchvision, imported without torch's compiler: 1.5 s of CPU time and 140 MB less a process.

`torchvision.ops.roi_align` takes `is_compile_supported` from `torch._dynamo.utils`, and with it all
of the compiler, to ask it in the one case of deterministic algorithms on a GPU. Until it asks, a
stand-in is enough.
"""

import importlib
import sys
import types
from typing import Any

_COMPILER = "torch._dynamo.utils"


def import_torchvision() -> None:
    """Import torchvision; the compiler is imported when somebody uses it, as ever.

    To call it before anything else imports torchvision saves time; to call it later does no harm.
    """
    if "torchvision" in sys.modules:
        return
    importlib.import_module("torch")  # which may want the compiler itself
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
    """Return what the module itself has, once the stand-in has gone."""
    if name.startswith("__"):  # what `inspect` wants to know of every module
        raise AttributeError(name)
    found = sys.modules.get(_COMPILER)
    if isinstance(found, types.ModuleType) and found.__spec__ is None:
        _take_away(found)
    return getattr(importlib.import_module(_COMPILER), name)


def _take_away(stand_in: types.ModuleType) -> None:
    if sys.modules.get(_COMPILER) is stand_in:
        del sys.modules[_COMPILER]
