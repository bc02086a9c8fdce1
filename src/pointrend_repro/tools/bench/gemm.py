"""How near a side comes to what the machine can do: the rate of one large matrix product (GEMM).

A side's convolutions and matrix products are counted while it runs, by torch's own formulas: what
it really computes, not the least that the task needs. So a side that computes more may come nearer
to the limit and be slower still.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from pointrend_repro.tools.bench.case import Size

SIDES = {"full": 2048, "tiny": 64}  # of the product's square matrices
_REPEATS = 3

# Floating-point operations by the type of the factors; a multiply-add is two.
Operations = dict[torch.dtype, int]


class CountedProducts(TorchDispatchMode):
    """Counts the operations of convolutions and matrix products within a `with`, by type."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Operations = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        formula = _formula(func)
        if formula is None:
            with self:  # in inference mode, composite operations arrive here whole
                parts = func.decompose(*args, **(kwargs or {}))
            if parts is not NotImplemented:
                return parts
        result = func(*args, **(kwargs or {}))
        if formula is not None:
            dtype = next(arg.dtype for arg in args if isinstance(arg, Tensor))
            count = formula(*args, **(kwargs or {}), out_val=result)
            self.operations[dtype] = self.operations.get(dtype, 0) + count
        return result


def _formula(func: Any) -> Any:
    name = func.overloadpacket.__name__
    in_place = name.endswith("_") and not name.startswith("_")
    packet = getattr(torch.ops.aten, name[:-1], None) if in_place else func.overloadpacket
    return flop_registry.get(packet)


class Gemm:
    """Square matrix products of some types, as a yardstick of the machine at this moment."""

    def __init__(self, dtypes: set[torch.dtype], size: Size, device: str) -> None:
        self.side = SIDES[size]
        generator = torch.Generator().manual_seed(0)
        ones = torch.rand(self.side, self.side, generator=generator)
        self.factors = {dtype: ones.to(device, dtype) for dtype in dtypes}
        self.device = device

    def seconds_per_operation(self) -> dict[torch.dtype, tuple[float, float]]:
        """Return the wall and the CPU time of an operation; of a few products, the fastest."""
        found = {}
        for dtype, factor in self.factors.items():
            with _products_as_convolutions():
                pairs = [self._once(factor) for _ in range(_REPEATS)]
            wall, cpu = (min(times) / (2 * self.side**3) for times in zip(*pairs, strict=True))
            found[dtype] = (wall, cpu)
        return found

    def _once(self, factor: Tensor) -> tuple[float, float]:
        start, cpu_start = time.perf_counter(), time.process_time()
        factor @ factor
        if self.device != "cpu":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - start, time.process_time() - cpu_start


@contextmanager
def _products_as_convolutions() -> Iterator[None]:
    """Let GPUs round a product's factors to TF32 if they do so in convolutions, as by default."""
    products = torch.backends.cuda.matmul
    before, products.allow_tf32 = products.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        products.allow_tf32 = before
