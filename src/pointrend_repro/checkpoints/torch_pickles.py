"""Runs the pickles in PyTorch files with stand-ins for tensors, to see what they would allocate.

A stand-in for a storage has its size in bytes. One for a tensor was checked to lie in a storage,
and not to repeat its numbers so often that copies take more memory than the file explains.
Names that only describe a tensor (types, layouts, devices) stand for nothing and cannot be called.
"""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch

from pointrend_repro.checkpoints.limits import Budget, RefusedError, plain_keys, require, shown
from pointrend_repro.checkpoints.unpickling import PlainUnpickler


@dataclass(frozen=True)
class _Name:
    """Something that can be named and passed on, but not called."""

    name: str
    bytes_per_element: int | None = None


@dataclass(frozen=True)
class _Storage:
    key: str
    element: int
    """Bytes per element."""
    size: int
    """In bytes."""


class _Tensor:
    """A tensor, or any other PyTorch object made of tensors and numbers."""


class _Dry(PlainUnpickler):
    """Allows what rebuilds tensors and plain values; records the storages that are asked for.

    Attributes:
        storages: their sizes in bytes, by key.
    """

    def __init__(self, file: Any, size: int) -> None:
        admitted = _NAMES | {
            ("torch._utils", "_rebuild_tensor"): self._tensor,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_qtensor"): self._tensor,
            ("torch._utils", "_rebuild_tensor_v3"): self._typed_tensor,
            ("torch._utils", "_rebuild_sparse_tensor"): _of_tensors,
            ("torch._utils", "_rebuild_parameter"): _of_tensors,
            ("torch._utils", "_rebuild_parameter_with_state"): _of_tensors,
            ("torch._utils", "_rebuild_meta_tensor_no_storage"): _of_tensors,
            ("torch._tensor", "_rebuild_from_type_v2"): self._tensor_of_type,
            ("torch.nn.parameter", "Parameter"): _of_tensors,
            ("torch.serialization", "_get_layout"): _of_tensors,
            ("torch", "device"): _of_tensors,
            ("torch", "Size"): _size,
            ("collections", "Counter"): self._mapping_of,
        }
        for module in ("builtins", "__builtin__"):
            admitted[module, "set"] = _set
            admitted[module, "complex"] = _complex
            admitted[module, "bytearray"] = _bytearray
        super().__init__(file, size, admitted)
        self.storages: dict[str, int] = {}

    def persistent_load(self, pid: Any) -> _Storage:
        """Record a storage: ("storage", type, key, device, elements), in old files also a view."""
        kind, storage_type, key, _, elements, *view = require(pid, tuple)
        if kind != "storage" or not isinstance(key, str) or len(view) > 1:
            raise RefusedError(f"the persistent object {shown(kind)}")
        element = _bytes_of(storage_type)
        size = _natural(elements) * element
        if self.storages.setdefault(key, size) != size:
            raise RefusedError(f"two sizes of storage {shown(key)}")
        if not view or view[0] is None:
            return _Storage(key, element, size)
        view_key, offset, length = require(view[0], tuple)
        if (_natural(offset) + _natural(length)) * element > size:
            raise RefusedError(f"a part outside of storage {shown(key)}")
        return _Storage(f"{key}/{shown(view_key)}", element, length * element)

    def build(self, value: Any, state: Any) -> None:
        """Accept a parameter's state, which before PyTorch 0.4 was that of its tensor."""
        if not isinstance(value, _Tensor):
            return super().build(value, state)
        if len(require(state, tuple)) == 4:
            self._tensor(*state)
        return None

    def _tensor(self, storage: Any, offset: Any, sides: Any, strides: Any, *_: Any) -> _Tensor:
        found = require(storage, _Storage)
        return self._inside(found, found.element, offset, sides, strides)

    def _typed_tensor(self, storage: Any, *arguments: Any) -> _Tensor:
        offset, sides, strides, _requires_grad, _hooks, dtype, *_ = arguments
        found = require(storage, _Storage)
        return self._inside(found, _bytes_of(dtype), offset, sides, strides)

    def _tensor_of_type(self, function: Any, kind: Any, arguments: Any, state: Any) -> _Tensor:
        if function not in (self._tensor, self._typed_tensor, _of_tensors):
            raise RefusedError(f"a call of {shown(function)}")
        made: _Tensor = function(*require(arguments, tuple))
        return made

    def _inside(
        self, storage: _Storage, element: int, offset: Any, sides: Any, strides: Any
    ) -> _Tensor:
        lengths = [_natural(side) for side in require(sides, tuple, list)]
        steps = [_natural(step) for step in require(strides, tuple, list)]
        last = _natural(offset)
        for length, step in zip(lengths, steps, strict=True):
            last += (length - 1) * step
        count = math.prod(lengths)
        if count and (last + 1) * element > storage.size:
            raise RefusedError(f"a tensor outside of storage {shown(storage.key)}")
        if count * element > storage.size:  # the same numbers again and again, and so its copies
            self.budget.spend(count * element)
        return _Tensor()

    def _mapping_of(self, items: Any = None) -> dict[Any, Any]:
        counts: dict[Any, Any] = dict(require(items or {}, dict))
        self.budget.spend(100 * len(counts))
        return counts


def check_archived_pickle(content: bytes, sizes: Mapping[str, int]) -> None:
    """Check the pickle of an archive.

    Args:
        sizes: bytes of each member of the archive; storages by their keys.

    Raises:
        RefusedError: it asks for anything but tensors in these storages and plain values.
    """
    dry = _Dry(io.BytesIO(content), len(content))
    dry.budget = Budget(sum(sizes.values()))
    dry.load()
    for key, size in dry.storages.items():
        if sizes.get(key) != size:
            raise RefusedError(f"{size} bytes of storage {shown(key)}")


def check_old_pickles(file: BinaryIO, size: int) -> None:
    """Check the pickles of a file from before PyTorch 1.6, where the storages follow them.

    Raises:
        RefusedError: they ask for anything but tensors in these storages and plain values.
    """
    for _ in ("magic number", "version", "system"):
        _Dry(file, size).load()
    content = _Dry(file, size)
    content.load()
    stored = [require(key, str) for key in require(_Dry(file, size).load(), list)]
    if sorted(stored) != sorted(content.storages):
        raise RefusedError("storages that it does not hold")
    # The bytes of each storage are preceded by their number.
    if sum(content.storages.values()) + 8 * len(stored) > size - file.tell():
        raise RefusedError("more memory than its size explains")


def _of_tensors(*_: Any) -> _Tensor:
    return _Tensor()


def _size(sides: Any) -> tuple[int, ...]:
    return tuple(_natural(side) for side in require(sides, tuple, list))


def _set(items: Any = ()) -> set[Any]:
    return set(plain_keys(require(items, list)))


def _complex(real: Any, imaginary: Any = 0.0) -> complex:
    return complex(require(real, float, int), require(imaginary, float, int))


def _bytearray(data: Any = b"") -> bytes:
    return require(data, bytes)


def _natural(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise RefusedError(f"{shown(value)} as a size")
    return value


def _bytes_of(kind: Any) -> int:
    found = require(kind, _Name).bytes_per_element
    if found is None:
        raise RefusedError(f"a storage of {shown(kind.name)}")
    return found


_STORAGES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
    "QInt8": torch.qint8,
    "QUInt8": torch.quint8,
    "QInt32": torch.qint32,
    "QUInt4x2": torch.quint4x2,
    "QUInt2x4": torch.quint2x4,
}


def _names() -> dict[tuple[str, str], Any]:
    found = {
        ("torch", "Tensor"): _Name("torch.Tensor"),
        ("torch.storage", "UntypedStorage"): _Name("torch.storage.UntypedStorage", 1),
    }
    for key, value in vars(torch).items():
        if isinstance(value, torch.dtype):
            found["torch", key] = _Name(f"torch.{key}", value.itemsize)
        elif isinstance(value, torch.qscheme):
            found["torch", key] = _Name(f"torch.{key}")
    for name, dtype in _STORAGES.items():
        for module in ("torch", "torch.cuda"):
            found[module, f"{name}Storage"] = _Name(f"{module}.{name}Storage", dtype.itemsize)
    return found


_NAMES = _names()
