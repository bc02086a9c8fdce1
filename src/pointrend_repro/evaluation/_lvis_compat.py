"""The `lvis` package 0.5.3, the newest release, made to run with today's NumPy."""

import contextlib
import logging
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np


class _NumpyWithFloat:
    """NumPy as `lvis.eval` knows it: `np.float` was another name of the built-in float.

    NumPy 1.24 removed the name; lvis/eval.py uses it in two lines. Fixed in lvis-api's main branch
    (pull request 39), but not released.
    """

    float = float

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


@contextlib.contextmanager
def working_lvis() -> Iterator[ModuleType]:
    """Yield the `lvis` package with `np.float` put back for `lvis.eval` alone.

    NumPy itself is not touched, and `lvis.eval` gets it back when the block ends.
    """
    lvis = _import_lvis()
    lvis.eval.np = _NumpyWithFloat()
    try:
        yield lvis
    finally:
        lvis.eval.np = np


def _import_lvis() -> ModuleType:
    # Importing lvis calls logging.basicConfig, which would keep a later one, that of the program,
    # from doing anything.
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    import lvis
    import lvis.eval

    root.handlers[:] = handlers
    root.setLevel(level)
    # LVISResults warns whenever it is given a list and not a file.
    logging.getLogger("lvis.results").setLevel(logging.ERROR)
    return lvis
