"""Reads pickles of arrays and plain containers, refusing anything that could run.

Checkpoints need only what rebuilds NumPy arrays of plain numbers and of text. Each of the few
allowed names is replaced by a function of this file, so NumPy gets from a pickle only a shape, a
dtype made here, and bytes whose number fits both: a dtype's state can name sub-arrays, fields or
flags that make NumPy read memory outside the array.
"""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from pointrend_repro.base.errors import UserError, printable_line
from pointrend_repro.checkpoints.limits import RefusedError, require, shown
from pointrend_repro.checkpoints.unpickling import PlainUnpickler


def read_pickle(path: Path) -> Any:
    """Read a pickle of NumPy arrays and plain containers, including those written by Python 2.

    Raises:
        UserError: the file is missing or damaged, or asks for anything else; the message then says
            for what, and nothing that the file asks for has been run.
    """
    try:
        with path.open("rb") as file:
            return _ArrayUnpickler(file, path.stat().st_size).load()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, not a checkpoint") from None
    except RefusedError as refused:
        raise UserError(
            f"{path}: refused, since it asks for {printable_line(refused)}: a checkpoint needs "
            "only numbers, text, arrays and plain containers; do not open this file by other means"
        ) from None
    except Exception as error:  # a damaged pickle fails in as many ways as there are opcodes
        reason = printable_line(error)
        raise UserError(
            f"{path}: not a whole pickle ({type(error).__name__}: {reason}); "
            "the file may be truncated: fetch it again"
        ) from None


# Stands for `numpy.ndarray` in a pickle: it can be named but not called.
_NDARRAY = object()

# As NumPy writes them: a kind and a size in bytes (characters, for U), without the byte order,
# which is in the state. No Python objects (O) and no records (V): checkpoints have neither.
_CODE = re.compile(r"[biufcSU][1-9][0-9]{0,8}", re.ASCII)
_LONGEST_TEXT = 1 << 20


class _Dtype:
    """The dtype of an array in a pickle; only this file turns it into one of NumPy's."""

    def __init__(self, code: Any, *_: Any) -> None:
        if not (isinstance(code, str) and _CODE.fullmatch(code)):
            raise RefusedError(f"a numpy array of {shown(code)}")
        if int(code[1:]) > _LONGEST_TEXT:
            raise RefusedError(f"a numpy array of {code}")
        # A copy, since otherwise NumPy returns its shared float32.
        self.numpy = np.dtype(code, False, True)

    def set_state(self, state: Any) -> None:
        """Apply the state that NumPy writes for plain numbers and text, which is a byte order.

        It is (3, order, sub-array, names, fields, bytes, alignment, flags), with None and -1 for
        for what a type does not have (numpy/_core/src/multiarray/descriptor.c, arraydescr_reduce).
        For text it has the size and alignment and, depending on NumPy's version, flag 8.
        """
        is_text = self.numpy.kind in "SU"
        sizes = (self.numpy.itemsize, self.numpy.alignment) if is_text else (-1, -1)
        flags = (0, 8) if is_text else (0,)
        if not (
            isinstance(state, tuple)
            and len(state) == 8
            and _is_number(state[0], 3)
            and state[1] in ("<", ">", "|", "=")
            and all(part is None for part in state[2:5])
            and all(_is_number(part, size) for part, size in zip(state[5:7], sizes, strict=True))
            and any(_is_number(state[7], flag) for flag in flags)
        ):
            raise RefusedError(f"a numpy array of {self.numpy} with a state of its own")
        if state[1] in "<>":
            self.numpy = self.numpy.newbyteorder(state[1])


class _ArrayUnpickler(PlainUnpickler):
    """Rebuilds NumPy's arrays and scalars."""

    def __init__(self, file: Any, size: int) -> None:
        names: dict[tuple[str, str], Any] = {
            ("numpy", "dtype"): _Dtype,
            ("numpy", "ndarray"): _NDARRAY,
        }
        for core in ("numpy.core", "numpy._core"):  # before and since NumPy 2
            names[f"{core}.multiarray", "_reconstruct"] = _empty_array
            names[f"{core}.multiarray", "scalar"] = self._scalar
            names[f"{core}.numeric", "_frombuffer"] = self._from_buffer
        super().__init__(file, size, names)

    def build(self, value: Any, state: Any) -> None:
        """Set a dtype's byte order, or fill in an array that is still empty."""
        if isinstance(value, _Dtype):
            value.set_state(state)
        elif isinstance(value, np.ndarray) and value.size == 0:
            self._fill(value, state)
        else:
            super().build(value, state)

    def _fill(self, array: np.ndarray, state: Any) -> None:
        _, shape, dtype, is_fortran, data = require(state, tuple)
        if isinstance(data, str):  # from Python 2, whose text was bytes
            data = data.encode("latin1")
        checked = self._array(require(data, bytes), dtype, shape)
        plain: Any = (1, checked.shape, checked.dtype, bool(is_fortran), data)
        array.__setstate__(plain)

    def _scalar(self, dtype: Any, data: Any) -> Any:
        text = data.encode("latin1") if isinstance(data, str) else require(data, bytes)
        return self._array(text, dtype, (1,))[0]

    def _from_buffer(
        self, data: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None
    ) -> np.ndarray:
        """Rebuild an array as pickle protocol 5 writes it."""
        array = self._array(require(data, bytes, bytearray, memoryview), dtype, shape)
        if order == "K" and axis_order is not None:
            return array.transpose([require(axis, int) for axis in require(axis_order, tuple)])
        return array.reshape(-1).reshape(array.shape, order="F" if order == "F" else "C")

    def _array(self, data: Any, dtype: Any, shape: Any) -> np.ndarray:
        """Return a view of bytes as an array, in C order."""
        kind = require(dtype, _Dtype).numpy
        sides = [require(side, int) for side in require(shape, tuple)]
        if any(side < 0 for side in sides) or math.prod(sides) * kind.itemsize != len(data):
            raise RefusedError(f"a numpy array that does not fit its {len(data)} bytes")
        self.budget.spend(len(data))
        if not data:
            return np.empty(sides, kind)
        return np.frombuffer(data, kind).reshape(sides)


def _empty_array(subtype: Any, shape: Any, typecode: Any) -> np.ndarray:
    """Make the array that the pickle fills next."""
    if subtype is not _NDARRAY:
        raise RefusedError(f"a numpy array of type {shown(subtype)}")
    return np.empty(0, dtype=np.int8)


def _is_number(value: Any, expected: int) -> bool:
    return type(value) is int and value == expected
