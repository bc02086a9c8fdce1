"""Fully connected layers that follow one another as `fc1`, `fc2` and so on of a head.

They are modules of the head itself, since weights have been saved under these names.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

_NAME = re.compile(r"fc\d+")


def add_fully_connected(head: nn.Module, sizes: Sequence[int]) -> None:
    """Add linear layers from each of `sizes` to the next."""
    for number, pair in enumerate(pairwise(sizes), start=1):
        head.add_module(f"fc{number}", nn.Linear(*pair))


def fully_connected(head: nn.Module) -> list[nn.Module]:
    """Return the layers that `add_fully_connected` added, in their order."""
    return [layer for name, layer in head.named_children() if _NAME.fullmatch(name)]


def through_fully_connected(head: nn.Module, x: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Apply these layers to (R, first size), each followed by a ReLU and, in training, dropout."""
    for layer in fully_connected(head):
        x = F.dropout(F.relu(layer(x)), dropout, head.training)
    return x
