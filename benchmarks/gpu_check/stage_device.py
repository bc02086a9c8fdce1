"""Which device, driver and versions, at which commit."""

import platform
import subprocess
from typing import Any

import torch

from benchmarks.gpu_check.stage import Asked
from pointrend_repro.base.provenance import cpu_name, git_commit, versions


def measure(asked: Asked) -> None:
    if asked.device == "cuda":
        # Its error says what is wrong: no driver, one that is too old, or no GPU.
        torch.zeros(1, device="cuda")
        asked.tell(**of_gpu())
    else:
        asked.tell(name=f"cpu ({cpu_name()})")
    asked.tell(
        cpu=cpu_name(),
        system=platform.platform(),
        threads=torch.get_num_threads(),
        git_commit=git_commit(),
        versions=versions() | {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()},
    )


def of_gpu() -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory_mb": round(properties.total_memory / 1e6),
        "multiprocessors": properties.multi_processor_count,
        "driver": driver(),
        "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
        "tf32_convolutions": torch.backends.cudnn.allow_tf32,
        "tf32_products": torch.backends.cuda.matmul.allow_tf32,
    }


def driver() -> str | None:
    """Return the driver's version, or None where nvidia-smi does not tell it."""
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.split("\n")[0].strip() or None
