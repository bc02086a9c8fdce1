"""From a case to JSON: what was measured, on which machine, and how much faster ours is."""

import importlib.metadata
import os
from pathlib import Path
from typing import Any

import torch

from pointrend_repro.base.provenance import cpu_name, start_record
from pointrend_repro.tools.bench.case import BENCHMARKS_DIR, Size, make_case
from pointrend_repro.tools.bench.memory import additional_peak_mb, method
from pointrend_repro.tools.bench.timing import Timings, measure_times, median_and_range

_PEERS = ("detectron2", "faster-coco-eval")


def run_case(
    name: str,
    *,
    size: Size = "full",
    device: str = "cpu",
    threads: int = 1,
    rounds: int = 5,
    folder: Path = BENCHMARKS_DIR,
) -> dict[str, Any]:
    """Measure the sides of a case against each other.

    Args:
        name: of a file in `folder / "cases"`.
        size: with `tiny` the numbers are meaningless.
        device: cpu or cuda.
        threads: CPU threads that torch may use; set by the caller.
        rounds: how often each side is measured.
        folder: holds `cases/`.

    Returns:
        A record as JSON: `sides` with the seconds and memory of each, and `ratios`, where another
        side's seconds are divided by ours of the same round, and its memory by ours. `cpu_time` is
        the ratio of CPU times, which is more reliable when other processes share the machine.
    """
    case = make_case(name, size, device, folder)
    finish = start_record(settings=case.settings, seed=None, device=_device_name(device))
    times = measure_times(case, rounds=rounds, device=device)
    memory = {
        side: additional_peak_mb(folder, name, size, device=device, threads=threads, side=side)
        for side in times.seconds
    }
    record = finish()
    del record["seed"], record["peak_memory_mb"]
    return {
        "case": name,
        "size": size,
        "threads": threads,
        "rounds": rounds,
        "sides": _sides(times, memory),
        "ratios": _ratios(times, memory),
        "memory_method": method(device),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        **record,
        "versions": record["versions"] | _peer_versions(),
    }


def _sides(times: Timings, memory: dict[str, float]) -> dict[str, Any]:
    measured: dict[str, Any] = {
        side: {
            "seconds": median_and_range(seconds),
            "cpu_seconds": median_and_range(times.cpu_seconds[side]),
            "additional_peak_mb": memory[side],
        }
        for side, seconds in times.seconds.items()
    }
    return measured | {
        side: {"status": f"not measured: {library} is not installed"}
        for side, library in times.left_out.items()
    }


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


def _ratio(ours: list[float], theirs: list[float]) -> dict[str, float]:
    return median_and_range([b / a for a, b in zip(ours, theirs, strict=True)])


def _peer_versions() -> dict[str, str]:
    found = {}
    for name in _PEERS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _device_name(device: str) -> str:
    return cpu_name() if device == "cpu" else torch.cuda.get_device_name(device)
