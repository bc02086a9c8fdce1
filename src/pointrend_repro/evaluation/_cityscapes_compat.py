"""cityscapesscripts' pixel-level evaluator as a library, without its environment and its files."""

import copy
import importlib
import os
from types import ModuleType
from typing import Any

_MODULE = "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling"


def pixel_level_evaluator() -> tuple[ModuleType, Any]:
    """Return the evaluator and the settings to call its functions with.

    The settings are a copy of the module's own, which stay as they are. With them the evaluator
    prints nothing, writes no file, and omits the instance-level nIoU, which would need the ground
    truth's instance images and calls `np.in1d`, removed in NumPy 2.4.
    """
    evaluator = _import_evaluator()
    settings = copy.copy(evaluator.args)
    settings.quiet = True
    settings.JSONOutput = False
    settings.evalInstLevelScore = False
    return evaluator, settings


def _import_evaluator() -> ModuleType:
    # The import fails if this variable names no folder, even though nothing is exported here.
    exports = os.environ.pop("CITYSCAPES_EXPORT_DIR", None)
    try:
        return importlib.import_module(_MODULE)
    finally:
        if exports is not None:
            os.environ["CITYSCAPES_EXPORT_DIR"] = exports
