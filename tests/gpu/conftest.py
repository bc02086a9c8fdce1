"""Where the tests that are marked `needs_gpu` compute, and what makes two devices comparable.

`GPU_CHECK_DEVICE=cpu` lets them run on a CPU, which shows that the tests themselves work.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

DEVICE = os.environ.get("GPU_CHECK_DEVICE", "cuda")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if DEVICE == "cuda" and not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("needs_gpu"):
                item.add_marker(pytest.mark.skip(reason="this machine has no usable GPU"))


@pytest.fixture
def device() -> torch.device:
    """The GPU, or the CPU that stands for it."""
    return torch.device(DEVICE)


@pytest.fixture(autouse=True)
def whole_float32() -> Iterator[None]:
    """No TF32, whose products have ten bits: what is compared is the code, not the format."""
    backends = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    yield
    for backend, allowed in zip(backends, before, strict=True):
        backend.allow_tf32 = allowed


class _DrawnOnTheCpu(TorchFunctionMode):
    """Random numbers are the CPU's on all devices: anchors, RoIs, points, dropout."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.rand, torch.randperm):
            there = kwargs.pop("device", None)
            made = func(*args, **kwargs)
            return made if there is None else made.to(there)
        if func is torch.nn.functional.dropout:
            return _dropped(*args, **kwargs)
        return func(*args, **kwargs)


def _dropped(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    if not training or not p:
        return x
    return x * ((torch.rand(x.shape) >= p) / (1 - p)).to(x)


@pytest.fixture
def same_draws() -> Iterator[None]:
    with _DrawnOnTheCpu():
        yield
