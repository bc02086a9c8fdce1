"""Computes in bfloat16 what can be (`optimizer.precision`, `test.precision`), the rest in float32.

The convolutions and linear layers of trunks, pyramids, decoders and box heads compute in bfloat16.
Their results become float32 where boxes, points or losses are computed from them.
"""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from pointrend_repro.settings.at_test import Precision

P = ParamSpec("P")
Module = TypeVar("Module", bound=nn.Module)
Result = TypeVar("Result")


def computing_in(precision: Precision | None, device: torch.device) -> torch.autocast:
    """Return a context in which a model's forward pass computes in a precision; None: fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def float32_inside(
    method: Callable[Concatenate[Module, P], Result],
) -> Callable[Concatenate[Module, P], Result]:
    """Make a module's method compute in float32, with autocasting off.

    Its arguments must be float32 already.
    """

    @wraps(method)
    def with_autocast_off(self: Module, *args: P.args, **kwargs: P.kwargs) -> Result:
        device = next(self.parameters()).device
        with torch.autocast(device.type, enabled=False):
            return method(self, *args, **kwargs)

    return with_autocast_off


def to_float32(features: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return feature maps as float32; those that are float32 already are not copied."""
    return {name: feature.float() for name, feature in features.items()}
