"""Kinds of numbers in a checkpoint's tensors, and which of them are weights."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pointrend_repro.base.errors import UserError


def is_counter(name: str) -> bool:
    """Whether a tensor is a norm's batch counter: an integer, which other tools leave out.

    Inference does not use it.
    """
    return name.endswith("num_batches_tracked")


def kind_of(tensor: Tensor) -> str:
    """Return what a tensor holds (`floating-point` for weights), without reading its values."""
    if tensor.is_meta:
        return "without values (on device meta)"
    if tensor.layout is not torch.strided:
        return "sparse"
    if tensor.is_nested:
        return "nested"
    if tensor.is_quantized:
        return "quantised"
    if tensor.is_complex():
        return "complex"
    if tensor.dtype is torch.bool:
        return "boolean"
    if str(tensor.dtype).endswith("_x2"):
        return "packed, several numbers in a byte"
    return "floating-point" if tensor.is_floating_point() else "integer"


def require_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Require that tensors, which fit a model in name and shape, are usable as weights.

    Raises:
        UserError: one is not a plain floating-point tensor, or holds NaN or infinity.
    """
    for name, tensor in tensors.items():
        kind = kind_of(tensor)
        if is_counter(name) and kind in ("integer", "floating-point"):
            continue
        if kind != "floating-point":
            raise UserError(f"{path}: {name} is {kind}; weights are plain floating-point tensors")
        # Eight-bit floats do not support the test.
        values = tensor.float() if tensor.itemsize == 1 else tensor
        wrong = tensor.numel() - int(torch.isfinite(values).sum())
        if wrong:
            raise UserError(
                f"{path}: {name} holds {wrong} values of {tensor.numel()} that are NaN or "
                "infinite: the training failed, or the file is damaged"
            )
