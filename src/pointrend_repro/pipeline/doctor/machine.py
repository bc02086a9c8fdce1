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
    asked = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        told = subprocess.run(
            asked, check=True, capture_output=True, text=True, timeout=_GPU_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in told.stdout.splitlines() if line.strip()]


def torch_can_use_gpus() -> bool:
    """Whether the installed torch is built for GPUs, read from its files."""
    with contextlib.suppress(OSError, ValueError):
        spec = importlib.util.find_spec("torch")
        if spec is not None and spec.origin is not None:
            text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
            return re.search(r"^(cuda|hip)\b[^=]*= *['\"]", text, re.M) is not None
    return False


def gpu_line() -> str:
    """Say which GPUs there are, and whether the installed torch can use them."""
    found = gpus()
    if not found:
        return "none: trainings and predictions run on the CPU"
    unused = "" if torch_can_use_gpus() else "; but the installed torch is built for CPUs alone"
    return f"{'; '.join(found)}{unused}"


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
