"""Tensors of Torch7 files: their types, and parts of storages that lie within them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pointrend_repro.checkpoints.limits import Budget, RefusedError

_ELEMENTS = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
}
_CUDA = {f"Cuda{name}": dtype for name, dtype in _ELEMENTS.items() if name != "Float"}
_TYPES = _ELEMENTS | _CUDA | {"Cuda": torch.float32}
STORAGES = {f"torch.{name}Storage": dtype for name, dtype in _TYPES.items()}
TENSORS = {f"torch.{name}Tensor": dtype for name, dtype in _TYPES.items()}


@dataclass(frozen=True, eq=False)
class Storage:
    """The numbers that tensors are parts of, (N,)."""

    values: Tensor


def part_of(
    storage: Storage, sizes: tuple[int, ...], strides: tuple[int, ...], start: int, budget: Budget
) -> Tensor:
    """Return the tensor of these sizes and strides that begins at a number of a storage.

    Nothing is copied. If it has more elements than the storage, which means that the same numbers
    occur in it again and again, the memory that a copy would take is spent from the budget.

    Raises:
        RefusedError: it lies outside, has negative parts, or the budget does not suffice.
    """
    values = storage.values
    if start < 0 or min(sizes) < 0 or min(strides) < 0:
        raise RefusedError("a tensor of negative sizes, strides or offset")
    last = start + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
    if last >= len(values):
        raise RefusedError("a tensor outside of its storage")
    count = math.prod(sizes)
    if count > len(values):
        budget.spend(count * values.itemsize)
    return values.as_strided(sizes, strides, start)
