"""Writes Torch7's binary format like its `File:writeObject` (torch/torch7 814ea4af, File.lua)."""

import struct
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

CPU_TYPES = {
    torch.float64: "Double",
    torch.float32: "Float",
    torch.float16: "Half",
    torch.int64: "Long",
    torch.int32: "Int",
    torch.int16: "Short",
    torch.int8: "Char",
    torch.uint8: "Byte",
}


@dataclass(eq=False)
class Made:
    """An object of a Lua class."""

    kind: str
    fields: dict[Any, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Storage:
    """A storage that stands for itself: the `size` of an `nn.View` is one."""

    values: Tensor


class Writer:
    """Writes values one after another; what is written twice is written as a reference.

    Args:
        on_gpu: whether float tensors are `torch.CudaTensor`s, as in the published models.
    """

    def __init__(self, *, on_gpu: bool = False) -> None:
        self.parts: list[bytes] = []
        self._on_gpu = on_gpu
        self._indices: dict[Any, int] = {}
        self._kept: list[Any] = []

    def write(self, value: Any) -> "Writer":
        """Add a value."""
        if value is None:
            self.ints(0)
        elif isinstance(value, bool):
            self.ints(5, int(value))
        elif isinstance(value, int | float):
            self.ints(1)
            self.parts.append(struct.pack("<d", value))
        elif isinstance(value, str):
            self.ints(2)
            self.text(value)
        elif isinstance(value, dict):
            if self._is_new(3, id(value), value):
                self._entries(value)
        elif isinstance(value, Tensor):
            if self._is_new(4, id(value), value):
                self._tensor(value)
        elif isinstance(value, Storage):
            self._storage(value.values)
        elif self._is_new(4, id(value), value):
            self.text("V 1")
            self.text(value.kind)
            self.write(value.fields)
        return self

    def ints(self, *values: int) -> None:
        """Add 4-byte integers."""
        self.parts.append(struct.pack(f"<{len(values)}i", *values))

    def longs(self, *values: int) -> None:
        """Add 8-byte integers."""
        self.parts.append(struct.pack(f"<{len(values)}q", *values))

    def text(self, value: str) -> None:
        """Add a length and that many bytes."""
        self.ints(len(value.encode()))
        self.parts.append(value.encode())

    @property
    def content(self) -> bytes:
        """The file."""
        return b"".join(self.parts)

    def _is_new(self, tag: int, key: Any, value: Any) -> bool:
        self._kept.append(value)  # an id must not be used again
        new = key not in self._indices
        index = self._indices.setdefault(key, len(self._indices) + 1)
        self.ints(tag, index)
        return new

    def _entries(self, table: dict[Any, Any]) -> None:
        self.ints(len(table))
        for key, value in table.items():
            self.write(key)
            self.write(value)

    def _name(self, tensor: Tensor) -> str:
        name = CPU_TYPES[tensor.dtype]
        if not self._on_gpu or name == "Long":
            return name
        return "Cuda" if name == "Float" else f"Cuda{name}"

    def _tensor(self, tensor: Tensor) -> None:
        self.text("V 1")
        self.text(f"torch.{self._name(tensor)}Tensor")
        self.ints(tensor.dim())
        self.longs(*tensor.shape, *tensor.stride(), tensor.storage_offset() + 1)
        length = tensor.untyped_storage().nbytes() // tensor.itemsize
        self._storage(tensor.as_strided((length,), (1,), 0))

    def _storage(self, values: Tensor) -> None:
        key = ("storage", values.untyped_storage().data_ptr())
        if self._is_new(4, key, values):
            self.text("V 1")
            self.text(f"torch.{self._name(values)}Storage")
            self.longs(len(values))
            self.parts.append(values.numpy().tobytes())


def torch7_file(value: Any, *, on_gpu: bool = False) -> bytes:
    """Return the content of a file that holds one value."""
    return Writer(on_gpu=on_gpu).write(value).content
