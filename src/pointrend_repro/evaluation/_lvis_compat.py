"""The `lvis` package 0.5.3, its newest release, made to run with current NumPy."""

import contextlib
import logging
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from pointrend_repro.base.benchmark_tools import how_to_install
from pointrend_repro.base.errors import UserError


class _NumpyWithFloat:
    """NumPy as `lvis.eval` expects it: `np.float` was an alias of the built-in float.

    NumPy 1.24 removed the name; lvis/eval.py uses it in two lines. Fixed in lvis-api's main branch
    (pull request 39), but not released.
    """

    float = float

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


@contextlib.contextmanager
def working_lvis() -> Iterator[ModuleType]:
    """Yield the `lvis` package with `np.float` restored for `lvis.eval` only.

    NumPy itself is not changed, and `lvis.eval` gets it back when the block ends.
    """
    lvis = _import_lvis()
    lvis.eval.np = _NumpyWithFloat()
    try:
        yield lvis
    finally:
        lvis.eval.np = np


def _import_lvis() -> ModuleType:
    # Importing lvis calls logging.basicConfig, which would keep the program's own later call from
    # having any effect.
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        import lvis
        import lvis.eval
    except ModuleNotFoundError as error:
        raise UserError(f"{error}{how_to_install(error)}") from error

    root.handlers[:] = handlers
    root.setLevel(level)
    # LVISResults warns whenever it gets a list instead of a file.
    logging.getLogger("lvis.results").setLevel(logging.ERROR)
    return lvis
