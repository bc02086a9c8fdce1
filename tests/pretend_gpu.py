"""Tensors that say they are on a GPU and compute on the CPU.

An operation on tensors of both devices is refused as CUDA refuses it, so a model that runs here
puts everything on one device. What a GPU would have to do is counted: kernels launched, and points
where the host waits for the device, because it needs a value or a shape that only the device knows.
The counts are of PyTorch's operations, so an operation of several launches counts once.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

# Not "cuda": a build for CUDA runs no backward pass on that name without a driver.
GPU = torch.device("meta")

# They return another view of the same memory, or ask for what the host knows: no kernel.
_FREE = {
    *("view", "_unsafe_view", "reshape", "_reshape_alias", "view_as", "expand", "unfold"),
    *("permute", "transpose", "t", "slice", "select", "diagonal", "as_strided", "alias", "detach"),
    *("unsqueeze", "squeeze", "split", "split_with_sizes", "unbind", "chunk", "narrow"),
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "lift_fresh"),
    *("is_same_size", "is_pinned", "record_stream"),
}
# Their result's shape, or the result itself, is known to the device alone.
_WAITS = {
    *("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "bincount", "nms"),
    *("_unique2", "unique_dim", "unique_consecutive"),
}
# They copy between the devices, or a value from the host.
_COPIES = {"_to_copy", "copy_", "lift_fresh", "to", "set_", "set_data"}


class OnGpu(Tensor):
    """A tensor on the pretended GPU; `there` holds its values, on the CPU."""

    there: Tensor

    @staticmethod
    def __new__(cls, there: Tensor) -> "OnGpu":
        made: OnGpu = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            there.size(),
            strides=there.stride(),
            storage_offset=there.storage_offset(),
            dtype=there.dtype,
            layout=there.layout,
            device=GPU,
        )
        made.there = there
        return made

    def __repr__(self, **_: Any) -> str:
        return f"OnGpu({self.there!r})"

    def tolist(self) -> Any:
        _count_wait("tolist")
        return self.there.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class Counts:
    """What the GPU was asked for.

    Attributes:
        kernels: operations that launch one, by name.
        waits: operations for whose result the host waits, by name.
    """

    def __init__(self) -> None:
        self.kernels: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()


_active: list[Counts] = []


class _Mode(TorchDispatchMode):
    """Makes new tensors on the device that is asked for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Constants(TorchFunctionMode):
    """Makes tensors of the host's numbers on the CPU, and then moves them, as CUDA has it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func not in (torch.tensor, torch.as_tensor, Tensor.new_tensor):
            return func(*args, **kwargs)
        device = kwargs.pop("device", None)
        if func is Tensor.new_tensor:
            like, *args = args
            kwargs.setdefault("dtype", like.dtype)
            device, func = device or like.device, torch.tensor
        made = func(*args, **kwargs)
        return made if device is None else made.to(device)


class _Autocast(torch.autocast):
    """The CPU's, on the pretended GPU."""

    def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
        super().__init__("cpu" if device_type == GPU.type else device_type, *args, **kwargs)


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """While this is open, `GPU` is a device that computes."""
    with patch("torch.autocast", _Autocast), _Constants(), _Mode():
        yield


@contextmanager
def counted() -> Iterator[Counts]:
    """Count what the pretended GPU is asked for."""
    counts = Counts()
    _active.append(counts)
    try:
        yield counts
    finally:
        _active.remove(counts)


def _count_wait(name: str) -> None:
    for counts in _active:
        counts.waits[name] += 1


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    name = func.overloadpacket.__name__
    flat, _ = tree_flatten((args, kwargs))
    tensors = [x for x in flat if isinstance(x, Tensor)]
    there = [x for x in tensors if isinstance(x, OnGpu)]
    on_gpu = bool(there)
    asked = kwargs.get("device")
    if asked is not None:
        on_gpu = torch.device(asked).type == GPU.type
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if there and name not in _COPIES:
        _refuse_mixed(name, [x for x in tensors if not isinstance(x, OnGpu)])
    _count(name, func, args, kwargs, there, on_gpu=on_gpu)
    plain_args, plain_kwargs = tree_map(_unwrap, (args, kwargs))
    made = func(*plain_args, **plain_kwargs)
    if name == "copy_" or (name.endswith("_") and not name.endswith("__") and args):
        return args[0]  # changed in place
    if "out" in kwargs:
        return kwargs["out"]
    return tree_map(lambda x: OnGpu(x) if on_gpu and type(x) is Tensor else x, made)


def _refuse_mixed(name: str, others: list[Tensor]) -> None:
    """As CUDA does: single numbers may come from the host, and so may indices."""
    of_size = [x for x in others if x.dim()]
    if name.startswith(("index", "_index", "_unsafe_index")):
        of_size = [x for x in of_size if x.dtype not in (torch.int64, torch.bool)]
    if of_size:
        shapes = [tuple(x.shape) for x in of_size]
        raise RuntimeError(
            f"{name}: expected all tensors to be on the same device, but found at least two "
            f"devices, cuda:0 and cpu: {shapes} on the CPU"
        )


def _count(
    name: str,
    func: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    there: list[OnGpu],
    *,
    on_gpu: bool,
) -> None:
    if not _active or not (there or on_gpu):
        return
    leaves = bool(there) and not on_gpu and name == "_to_copy"
    masked = name in ("index", "index_put_", "_unsafe_index") and any(
        isinstance(x, Tensor) and x.dtype is torch.bool for x in tree_flatten(args[1])[0]
    )
    if name in _WAITS or leaves or masked:
        _count_wait(name)
    if name not in _FREE:
        for counts in _active:
            counts.kernels[name] += 1


def _unwrap(x: Any) -> Any:
    return x.there if isinstance(x, OnGpu) else x
