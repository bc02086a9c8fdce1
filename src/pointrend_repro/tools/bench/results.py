"""From a case to JSON: what was measured, on which machine, and how much faster ours is."""

import importlib.metadata
import os
from pathlib import Path
from typing import Any

import torch

from pointrend_repro.base.provenance import cpu_name, start_record
from pointrend_repro.tools.bench.case import BENCHMARKS_DIR, make_case
from pointrend_repro.tools.bench.memory import additional_peak_mb, method
from pointrend_repro.tools.bench.timing import Timings, measure_times, median_and_range


def run_case(
    name: str,
    *,
    device: str = "cpu",
    threads: int = 1,
    rounds: int = 5,
    folder: Path = BENCHMARKS_DIR,
) -> dict[str, Any]:
    """Measure the sides of a case against each other.

    Args:
        name: of a file in `folder / "cases"`.
        device: cpu or cuda.
        threads: CPU threads that torch may use; set by the caller.
        rounds: how often each side is measured.
        folder: holds `cases/`.

    Returns:
        A record as JSON: `sides` with the seconds and memory of each, and `ratios`, where another
        side's seconds are divided by ours of the same round, and its memory by ours. `cpu_time` is
        the ratio of CPU times, which is more reliable when other processes share the machine.
        A side's `share_of_gemm_rate` is the rate of its convolutions and matrix products over all
        its time (CPU time, if one thread computes), by that of one large product; null if it has
        none. `giga_operations` are theirs, a multiply-add as two.
    """
    case = make_case(name, "full", device, folder)
    finish = start_record(settings=case.settings, seed=None, device=_device_name(device))
    times = measure_times(case, rounds=rounds, device=device)
    memory = {
        side: additional_peak_mb(folder, name, device=device, threads=threads, side=side)
        for side in times.seconds
    }
    record = finish()
    del record["seed"], record["peak_memory_mb"]
    return {
        "case": name,
        "size": "full",
        "threads": threads,
        "rounds": rounds,
        "sides": _sides(times, memory, in_cpu_time=device == "cpu" and threads == 1),
        "ratios": _ratios(times, memory),
        "memory_method": method(device),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        **record,
        "versions": record["versions"] | _peer_versions(),
    }


def _sides(times: Timings, memory: dict[str, float], *, in_cpu_time: bool) -> dict[str, Any]:
    measured: dict[str, Any] = {
        side: {
            "seconds": median_and_range(seconds),
            "cpu_seconds": median_and_range(times.cpu_seconds[side]),
            "additional_peak_mb": memory[side],
            "giga_operations": round(sum(times.operations[side].values()) / 1e9, 3),
            "share_of_gemm_rate": _share_of_gemm_rate(times, side, in_cpu_time=in_cpu_time),
        }
        for side, seconds in times.seconds.items()
    }
    return measured | {
        side: {"status": f"not measured: {library} is not installed"}
        for side, library in times.left_out.items()
    }


def _share_of_gemm_rate(times: Timings, side: str, *, in_cpu_time: bool) -> dict[str, float] | None:
    if not times.operations[side]:
        return None
    if in_cpu_time:
        return _ratio(times.cpu_seconds[side], times.cpu_limits[side])
    return _ratio(times.seconds[side], times.limits[side])


def _ratios(times: Timings, memory: dict[str, float]) -> dict[str, Any]:
    ours, *others = times.seconds
    return {
        side: {
            "time": _ratio(times.seconds[ours], times.seconds[side]),
            "cpu_time": _ratio(times.cpu_seconds[ours], times.cpu_seconds[side]),
            "memory": round(memory[side] / memory[ours], 2) if memory[ours] else None,
            "differences": times.differences[side],
        }
        for side in others
    }


def _ratio(below: list[float], above: list[float]) -> dict[str, float]:
    return median_and_range([a / b for a, b in zip(above, below, strict=True)])


def _peer_versions() -> dict[str, str]:
    try:
        return {"detectron2": importlib.metadata.version("detectron2")}
    except importlib.metadata.PackageNotFoundError:
        return {}


def _device_name(device: str) -> str:
    return cpu_name() if device == "cpu" else torch.cuda.get_device_name(device)
