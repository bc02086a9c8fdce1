"""Whole models' tensors for files that are quickly written: views of one storage."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor


def views_of_one_storage(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return ones of these shapes, which a file holds only as often as the largest has them."""
    ones = torch.ones(max(map(math.prod, shapes.values())), dtype=torch.float16)
    return {name: ones[: math.prod(shape)].view(shape) for name, shape in shapes.items()}
