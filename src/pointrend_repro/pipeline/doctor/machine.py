"""What a machine has: versions, GPUs, cores, memory, disk."""

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from pointrend_repro.base.provenance import cpu_name

_LIBRARIES = ("pointrend-repro", "torch", "torchvision", "snakemake")
_GPU_TIMEOUT_S = 10
# By the release of CUDA that torch is built for: the oldest driver (NVIDIA's release notes), and
# the least compute capability that PyTorch's wheels have kernels for (its RELEASE.md).
_NEEDS = {"12": (525, 5.0), "13": (580, 7.5)}
_MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def versions() -> str:
    """Return the versions of Python and of the libraries that matter most, in one line."""
    found = [f"python {platform.python_version()}"]
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} is not installed")
    return ", ".join(found)


def gpus() -> list[str]:
    """Return the NVIDIA GPUs with their memory, as their driver tells; none without a driver."""
    return _nvidia_smi("name,memory.total")


def _nvidia_smi(keys: str) -> list[str]:
    """Return a line for each GPU; none where the driver does not answer, or does not know a key."""
    asked = ["nvidia-smi", f"--query-gpu={keys}", "--format=csv,noheader"]
    try:
        told = subprocess.run(
            asked, check=True, capture_output=True, text=True, timeout=_GPU_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in told.stdout.splitlines() if line.strip()]


def lacking_for_gpus() -> str | None:
    """Say what this machine lacks for torch to use its GPUs; None: nothing that is known."""
    cuda = _cuda_of_torch()
    if cuda is None:
        return "a torch that is built for GPUs"
    driver, capability = _NEEDS.get(cuda.split(".")[0], (0, 0.0))
    older = [version for version in _asked("driver_version") if int(version) < driver]
    if older:
        return f"a driver of release {driver} or later, for the installed torch's CUDA {cuda}"
    found = _asked("compute_cap")
    if found and max(found) < capability:
        return (
            f"a torch with kernels for GPUs below compute capability {capability}, which builds "
            f"for CUDA {cuda} do not have (docs/slurm.md#gpus-and-drivers)"
        )
    return None


def _asked(key: str) -> list[float]:
    """Return a number for each GPU, as 580.65 of 580.65.06; none if the driver does not know it."""
    return [float(m[0]) for line in _nvidia_smi(key) if (m := re.match(r"\d+(\.\d+)?", line))]


def _cuda_of_torch() -> str | None:
    """Return the release of CUDA or HIP that the installed torch is built for, by its files."""
    with contextlib.suppress(OSError, ValueError):
        spec = importlib.util.find_spec("torch")
        if spec is not None and spec.origin is not None:
            text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
            found = re.search(r"^(?:cuda|hip)\b[^=]*= *['\"]([^'\"]*)", text, re.M)
            return found[1] if found else None
    return None


def gpu_line() -> str:
    """Say which GPUs there are, and whether the installed torch can use them."""
    found = gpus()
    if not found:
        return "none: trainings and predictions run on the CPU"
    lacking = lacking_for_gpus()
    return "; ".join(found) + (f"; to use them, this machine lacks {lacking}" if lacking else "")


def cores() -> int:
    """Return how many cores this process may use."""
    may_use = getattr(os, "sched_getaffinity", None)
    return len(may_use(0)) if may_use else os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Return the memory of the machine, or of the container that this runs in; None: unknown."""
    found = []
    with contextlib.suppress(OSError, ValueError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _MEMORY_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path(path).read_text()))
    return min(found, default=None)


def machine_lines(folder: Path) -> list[tuple[str, str]]:
    """Return what the machine has, by name.

    Args:
        folder: on whose disk results will lie.
    """
    memory = memory_bytes()
    disk = shutil.disk_usage(folder)
    return [
        ("versions", versions()),
        ("GPU", gpu_line()),
        ("processor", f"{cpu_name()}, {cores()} cores for this process"),
        ("memory", "unknown" if memory is None else f"{memory / 1e9:.0f} GB"),
        ("disk", f"{disk.free / 1e9:.0f} of {disk.total / 1e9:.0f} GB free in {folder.absolute()}"),
    ]
