"""The memory that a side takes in addition to its inputs, measured in a process of its own.

python -m pointrend_repro.tools.bench.memory FOLDER CASE DEVICE THREADS SIDE
"""

import ctypes
import gc
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pointrend_repro.tools.bench.case import make_case

METHOD = {
    "linux": "high-water mark of the resident size during one run (VmHWM after writing 5 to "
    "/proc/self/clear_refs) less the resident size before it, in a process of its own that has "
    "run the tiny size of the case before and given freed memory back (malloc_trim)",
    "other": "growth of the process's largest resident size (ru_maxrss) during one run, in a "
    "process of its own that has run the tiny size of the case before",
    "cuda": "torch.cuda.max_memory_allocated during one run less memory_allocated before it, in a "
    "process of its own that has run the tiny size of the case before",
}


def method(device: str) -> str:
    """Return in words how `additional_peak_mb` measures on this system."""
    if device != "cpu":
        return METHOD["cuda"]
    return METHOD["linux" if sys.platform == "linux" else "other"]


def additional_peak_mb(folder: Path, name: str, *, device: str, threads: int, side: str) -> float:
    """Return what one run of a side takes beyond its prepared inputs, in MB (1e6 bytes)."""
    arguments = [str(folder), name, device, str(threads), side]
    done = subprocess.run(
        [sys.executable, "-m", "pointrend_repro.tools.bench.memory", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    megabytes: float = json.loads(done.stdout.splitlines()[-1])
    return megabytes


def main() -> None:
    """Print the number of `additional_peak_mb` for the arguments of this process."""
    folder, name, device, threads, side = sys.argv[1:]
    torch.set_num_threads(int(threads))
    make_case(name, "tiny", device, Path(folder)).sides[side]()()
    run = make_case(name, "full", device, Path(folder)).sides[side]()
    print(json.dumps(peak_mb_of(run, device)))


def peak_mb_of(run: Callable[[], Any], device: str) -> float:
    """Return what one run takes beyond what this process already uses, in MB.

    On some systems this fails if the process has already run something larger.
    """
    gc.collect()
    measure = _on_cpu if device == "cpu" else _on_gpu
    return round(measure(run) / 1e6, 1)


def _on_gpu(run: Callable[[], Any]) -> float:
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    return torch.cuda.max_memory_allocated() - before


def _on_cpu(run: Callable[[], Any]) -> float:
    if sys.platform != "linux":
        unit = 1 if sys.platform == "darwin" else 1024
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        run()
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit
    _give_freed_memory_back()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_bytes("VmRSS")
    run()
    return _status_bytes("VmHWM") - before


def _give_freed_memory_back() -> None:
    """Without this, a run could reuse what an earlier one freed, and seem to need nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
    if trim is not None:
        trim(0)


def _status_bytes(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
