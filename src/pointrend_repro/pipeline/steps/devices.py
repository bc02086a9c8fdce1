"""The device of a step, in words."""

import re

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.provenance import cpu_name


def device_name(device: str) -> str:
    """Return a device in words, such as `cpu (AMD EPYC, 2 threads)`.

    Raises:
        UserError: a GPU was asked for, and there is none, or none that the installed torch can use.
    """
    import torch

    if device == "cpu":
        return f"cpu ({cpu_name()}, {torch.get_num_threads()} threads)"
    if not torch.cuda.is_available():
        raise UserError(
            "device 'cuda': this machine has no usable GPU; use --device cpu "
            "(`snakemake --config device=cpu`)"
        )
    name = torch.cuda.get_device_name()
    built = [] if torch.version.cuda is None else torch.cuda.get_arch_list()
    # Else the first kernel fails, in the middle of the step, in words that name no remedy.
    if built and not runs_on(torch.cuda.get_device_capability(), built):
        raise UserError(
            f"{name}: the installed torch {torch.__version__} has no kernels for this GPU, but for "
            f"{', '.join(built)}; docs/slurm.md#gpus-and-drivers says which build has, and "
            "--device cpu needs none"
        )
    return f"cuda ({name})"


def runs_on(capability: tuple[int, int], built: list[str]) -> bool:
    """Tell whether code that was compiled for some GPUs runs on another.

    Args:
        capability: of the GPU, such as (8, 9).
        built: as torch names them: `sm_86` runs where the first digit is the same and the second no
            lower, `compute_86`, which the driver compiles further, on all that are no older.
    """
    for target in built:
        if found := re.fullmatch(r"(sm|compute)_(\d+)(\d)[af]?", target):
            least = int(found[2]), int(found[3])
            if least <= capability and (found[1] == "compute" or least[0] == capability[0]):
                return True
    return False
