"""Reads Torch7's binary files (`.t7`) into tensors and plain containers; runs nothing in them.

The format is Torch7's own (torch/torch7 commit 814ea4af: `File.lua`, `generic/Tensor.c`,
`generic/Storage.c`; torch/cutorch commit 5e9d86cb for what lies on a GPU), as a 64-bit Linux or
macOS writes it. All numbers are little-endian. A value is a 4-byte tag and

    0 nil       nothing
    1 number    a double
    2 string    4-byte length, bytes
    5 boolean   4 bytes, 0 or 1
    3 table     4-byte index; if the index is new: 4-byte count, that many (key, value)
    4 object    4-byte index; if it is new: "V <version>" and the class as length and bytes (files
                from before versions have the class only), and the class's own content: for
                torch.<Type>Storage  8-byte count, elements
                torch.<Type>Tensor   4-byte number of dimensions, 8-byte sizes, 8-byte strides,
                                     8-byte offset from 1, the storage (a value)
                any other class      a table of its fields (a value)
    6 function  4-byte length, byte code, upvalues (a value); 7 and 8 have an index first

A known index stands for the value that was read under it: values can be shared, and a table may
hold itself. Here a class is only a name beside its fields, byte code is passed over, a size is
compared with what is left of the file before anything is allocated, and a tensor has to lie within
its storage.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from pointrend_repro.base.errors import UserError, printable_line
from pointrend_repro.checkpoints.limits import Budget, RefusedError, shown
from pointrend_repro.checkpoints.torch7_tensors import STORAGES, TENSORS, Storage, part_of

# DeepMask's and SharpMask's have a few thousand values, as deep as thirty.
_MOST_VALUES = 500_000
_DEEPEST = 100
_MOST_DIMENSIONS = 16


@dataclass(frozen=True, eq=False)
class Record:
    """What a file says about an object of a Lua class: inert, whatever the class is.

    Attributes:
        kind: the class, such as `nn.Linear`; `function` for a function.
        fields: by name or number; those of a function are left out.
    """

    kind: str
    fields: dict[str | int | float, Any]


class _NotWholeError(Exception):
    """The file ends too early, or is none of Torch7's."""


def read_torch7(path: Path) -> Any:
    """Read what Torch7's `torch.save` wrote in its binary format.

    Returns:
        None, bool, int or float (Lua has one type for both), str, dict (a table; its keys are text
        or numbers), `Tensor` (with the file's sizes and strides), `Storage` or `Record`. What the
        file shares is shared; tables and records may contain themselves.

    Raises:
        UserError: the file is missing, truncated, of another format, or asks for what Torch7 does
            not write or for more memory than its size explains.
    """
    try:
        with path.open("rb") as file:
            return _Reader(file, path.stat().st_size).read_file()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, not a checkpoint") from None
    except RefusedError as refused:
        raise UserError(
            f"{path}: refused, since it asks for {printable_line(refused)}: a Torch7 checkpoint "
            "needs only numbers, text, tensors, tables and objects made of them"
        ) from None
    except _NotWholeError as error:
        raise UserError(
            f"{path}: not a whole Torch7 file in its binary format ({printable_line(error)}); "
            "it may be truncated: fetch it again"
        ) from None


_UNFINISHED = object()


class _Reader:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size
        self._budget = Budget(size)
        self._values = self._depth = 0
        self._known: dict[int, Any] = {}
        self._by_tag: dict[int, Callable[[], Any]] = {
            0: lambda: None,
            1: self._number,
            2: self._text,
            3: self._table,
            4: self._object,
            5: self._boolean,
            6: self._function,
            7: self._indexed_function,
            8: self._indexed_function,
        }

    def read_file(self) -> Any:
        """Read the only value of the file."""
        value = self._value()
        if self._left:
            raise _NotWholeError(f"{self._left} bytes follow its end")
        return value

    def _value(self) -> Any:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise RefusedError(f"more than {_MOST_VALUES} values")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise RefusedError(f"values more than {_DEEPEST} deep in each other")
        tag = self._int()
        if tag not in self._by_tag:
            raise _NotWholeError(f"{tag} is no type of value")
        value = self._by_tag[tag]()
        self._depth -= 1
        return value

    def _bytes(self, count: int) -> bytes:
        if not 0 <= count <= self._left:
            raise _NotWholeError(f"{count} bytes are asked for, {self._left} are left")
        self._left -= count
        found = self._file.read(count)
        if len(found) != count:
            raise _NotWholeError("it became shorter while it was read")
        return found

    def _unpack(self, code: str, count: int = 1) -> tuple[Any, ...]:
        return struct.unpack(f"<{count}{code}", self._bytes(count * struct.calcsize(f"<{code}")))

    def _int(self) -> int:
        value: int = self._unpack("i")[0]
        return value

    def _number(self) -> int | float:
        value: float = self._unpack("d")[0]
        return int(value) if value.is_integer() else value

    def _boolean(self) -> bool:
        return self._int() == 1

    def _text(self) -> str:
        return self._bytes(self._int()).decode("latin1")

    def _table(self) -> dict[Any, Any]:
        index = self._int()
        if index in self._known:
            return self._again(index, dict)
        found: dict[Any, Any] = {}
        self._known[index] = found
        for _ in range(self._int()):
            key = self._value()
            # True would be equal to 1, and what is not a number to nothing.
            if type(key) not in (str, int, float) or key != key or key in found:
                raise RefusedError(f"{shown(key)} as a key, or twice as one")
            found[key] = self._value()
        return found

    def _object(self) -> Any:
        index = self._int()
        if index in self._known:
            return self._again(index, Record, Tensor, Storage)
        name = self._text()
        if name.startswith("V "):
            name = self._text()
        if name in STORAGES or name in TENSORS:
            self._known[index] = _UNFINISHED
            is_storage = name in STORAGES
            made = self._storage(STORAGES[name]) if is_storage else self._tensor(TENSORS[name])
            self._known[index] = made
            return made
        fields: dict[Any, Any] = {}
        record = self._known[index] = Record(name, fields)
        content = self._value()
        if not isinstance(content, dict):
            raise RefusedError(f"an object of {shown(name)} that is not made of fields")
        fields.update(content)
        return record

    def _again(self, index: int, *types: type) -> Any:
        value = self._known[index]
        if not isinstance(value, types):
            raise RefusedError(f"value {index} as a {types[0].__name__.lower()}, which it is not")
        return value

    def _storage(self, dtype: torch.dtype) -> Storage:
        (count,) = self._unpack("q")
        if count == 0:
            return Storage(torch.empty(0, dtype=dtype))
        content = bytearray(self._bytes(count * dtype.itemsize))
        return Storage(torch.frombuffer(content, dtype=dtype))

    def _tensor(self, dtype: torch.dtype) -> Tensor:
        dimensions = self._int()
        if not 0 <= dimensions <= _MOST_DIMENSIONS:
            raise RefusedError(f"a tensor of {dimensions} dimensions")
        sizes, strides = self._unpack("q", dimensions), self._unpack("q", dimensions)
        (offset,) = self._unpack("q")
        storage = self._value()
        # To Torch7 a tensor without dimensions is empty, and it may have no storage at all.
        if dimensions == 0 or 0 in sizes:
            return torch.empty(0, dtype=dtype)
        if not isinstance(storage, Storage) or storage.values.dtype != dtype:
            raise RefusedError(f"a tensor of {dtype} in {shown(storage)}")
        return part_of(storage, sizes, strides, offset - 1, self._budget)

    def _function(self) -> Record:
        self._bytes(self._int())
        self._value()
        return Record("function", {})

    def _indexed_function(self) -> Record:
        index = self._int()
        if index in self._known:
            again: Record = self._again(index, Record)
            return again
        self._known[index] = Record("function", {})
        return self._function()
