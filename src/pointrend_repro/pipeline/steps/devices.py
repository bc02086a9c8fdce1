"""The device of a step, in words."""

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.provenance import cpu_name


def device_name(device: str) -> str:
    """Return a device in words, such as `cpu (AMD EPYC, 2 threads)`.

    Raises:
        UserError: a GPU was asked for and there is none.
    """
    import torch

    if device == "cpu":
        return f"cpu ({cpu_name()}, {torch.get_num_threads()} threads)"
    if not torch.cuda.is_available():
        raise UserError("device 'cuda': this machine has no usable GPU; use --device cpu")
    return f"cuda ({torch.cuda.get_device_name()})"
