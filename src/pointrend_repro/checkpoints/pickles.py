"""Opening pickles that hold arrays and plain containers, and nothing that could run.

A pickle is a program: it may name any function of any installed module and have it called.
Checkpoints need only what rebuilds NumPy arrays, so the few names of `_ADMITTED` are replaced by
functions of this file, and every other name is refused before anything is called. Plain values
and containers need no name at all.
"""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from pointrend_repro.errors import UserError


def read_pickle(path: Path) -> Any:
    """Read a pickle of NumPy arrays and plain containers, also one written by Python 2.

    Raises:
        UserError: the file is missing or damaged, or names anything else; the message then has the
            name, and nothing that the file asks for has been run.
    """
    try:
        with path.open("rb") as file:
            return _ArrayUnpickler(file, encoding="latin1").load()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, not a checkpoint") from None
    except _RefusedError as refused:
        raise UserError(
            f"{path}: refused, since it asks for {refused}: a checkpoint needs only numbers, text, "
            "arrays and plain containers; do not open this file by other means"
        ) from None
    except Exception as error:  # a damaged pickle fails in as many ways as there are opcodes
        raise UserError(
            f"{path}: not a whole pickle ({type(error).__name__}: {error}); "
            "the file may be truncated: fetch it again"
        ) from None


class _RefusedError(pickle.UnpicklingError):
    """The pickle asks for something that is not admitted; the text says what."""


class _ArrayUnpickler(pickle.Unpickler):
    """Looks names up in `_ADMITTED`, and nowhere else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise _RefusedError(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError(f"the persistent object {pid!r}")


# Stands for `numpy.ndarray` in a pickle; it can be named but not called.
_NDARRAY = object()

# No Python objects (O), no records (V): neither is in a checkpoint.
_NUMBERS_AND_TEXT = "biufcSU"


def _empty_array(subtype: Any, shape: Any, typecode: Any) -> np.ndarray:
    """Make the array that the pickle fills next."""
    if subtype is not _NDARRAY:
        raise _RefusedError(f"a numpy array of type {subtype!r}")
    return np.empty(0, dtype=np.int8)


def _dtype(code: Any, *_: Any) -> np.dtype[Any]:
    # A copy: the pickle sets the byte order of what it gets here, which must not be NumPy's own.
    dtype = np.dtype(str(code), False, True)
    if dtype.kind not in _NUMBERS_AND_TEXT:
        raise _RefusedError(f"a numpy array of {dtype}")
    return dtype


def _scalar(dtype: Any, data: Any) -> Any:
    return _from_buffer(_encode(data) if isinstance(data, str) else data, dtype, (1,), "C")[0]


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """Rebuild an array as pickle protocol 5 writes it."""
    if not isinstance(dtype, np.dtype):
        raise _RefusedError(f"a numpy array of {dtype!r}")
    return np.frombuffer(data, dtype).reshape(shape, order=order)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Rebuild bytes as protocol 2 writes them."""
    if encoding != "latin1":
        raise _RefusedError(f"bytes encoded as {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Rebuild empty bytes as protocols 0 to 2 write them."""
    return b""


_ADMITTED = {
    ("__builtin__", "bytes"): _no_bytes,
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): _NDARRAY,
}
for _core in ("numpy.core", "numpy._core"):  # before and since NumPy 2
    _ADMITTED[f"{_core}.multiarray", "_reconstruct"] = _empty_array
    _ADMITTED[f"{_core}.multiarray", "scalar"] = _scalar
    _ADMITTED[f"{_core}.numeric", "_frombuffer"] = _from_buffer
