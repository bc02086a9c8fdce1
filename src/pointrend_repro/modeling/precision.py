"""Computes in bfloat16 what can be (`optimizer.precision`, `test.precision`), the rest in float32.

The convolutions and linear layers of trunks, pyramids, decoders and box heads compute in bfloat16.
Their results become float32 where boxes, points or losses are computed from them.
"""

import logging
from collections.abc import Callable
from functools import cache, wraps
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.settings.at_test import Precision

_log = logging.getLogger(__name__)

P = ParamSpec("P")
Module = TypeVar("Module", bound=nn.Module)
Result = TypeVar("Result")


def computing_in(precision: Precision | None, device: torch.device) -> torch.autocast:
    """Return a context in which a model's forward pass computes in a precision; None: fp32.

    Raises:
        UserError: the device is a GPU that would emulate bfloat16.
    """
    if precision == "bf16":
        check_bfloat16(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@cache
def check_bfloat16(device: torch.device) -> None:
    """Refuse a GPU that would emulate bfloat16; of a CPU, say so once.

    Raises:
        UserError: the GPU does not compute in bfloat16.
    """
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UserError(
            f"precision bf16: {torch.cuda.get_device_name(device)} does not compute in it; set "
            "optimizer.precision, or test.precision, to fp32"
        )
    if device.type == "cpu" and not cpu_computes_in_bfloat16():
        _log.warning("precision bf16: this CPU emulates it, which takes many times as long as fp32")


def cpu_computes_in_bfloat16() -> bool:
    """Return whether the CPU has instructions by which torch computes in bfloat16."""
    return torch.backends.mkldnn.is_available() and bool(
        torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def in_float32(device: torch.device) -> torch.autocast:
    """Return a context in which float32 stays float32; autocasting would round before an `@`."""
    return torch.autocast(device.type, enabled=False)


def float32_inside(
    method: Callable[Concatenate[Module, P], Result],
) -> Callable[Concatenate[Module, P], Result]:
    """Make a module's method compute in float32, with autocasting off.

    Its arguments must be float32 already.
    """

    @wraps(method)
    def with_autocast_off(self: Module, *args: P.args, **kwargs: P.kwargs) -> Result:
        with in_float32(next(self.parameters()).device):
            return method(self, *args, **kwargs)

    return with_autocast_off


def to_float32(features: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return feature maps as float32; those that are float32 already are not copied."""
    return {name: feature.float() for name, feature in features.items()}
