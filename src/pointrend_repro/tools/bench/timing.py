"""Interleaved timings of a case's sides, and the differences of their outputs."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from pointrend_repro.tools.bench.case import Case, NotInstalled, Size
from pointrend_repro.tools.bench.gemm import CountedProducts, Gemm, Operations


@dataclass
class Timings:
    """The times of a case's sides, round by round.

    Attributes:
        seconds: a side's name -> seconds of each round.
        cpu_seconds: the same in CPU time of this process, which depends little on other processes
            on a busy machine.
        differences: a side's name -> how its output differs from ours.
        left_out: a side's name -> the library that it needs and that is not installed.
        operations: a side's name -> what its convolutions and matrix products compute.
        limits: a side's name -> the seconds that one large matrix product, measured in the same
            round, would take for as many operations.
        cpu_limits: the same in CPU time.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu_seconds: dict[str, list[float]] = field(default_factory=dict)
    differences: dict[str, dict[str, float]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    operations: dict[str, Operations] = field(default_factory=dict)
    limits: dict[str, list[float]] = field(default_factory=dict)
    cpu_limits: dict[str, list[float]] = field(default_factory=dict)


def measure_times(case: Case, *, rounds: int, device: str, size: Size = "full") -> Timings:
    """Run the sides in turn, once unmeasured to compare their outputs, then `rounds` times.

    Args:
        size: of the matrix product that each round measures too.

    Raises:
        AssertionError: the outputs differ too much.
    """
    result = Timings()
    sides: dict[str, Callable[[], Any]] = {}
    for name, prepare in case.sides.items():
        try:
            sides[name] = prepare()
        except NotInstalled as missing:
            result.left_out[name] = str(missing)
    ours = None
    for name, run in sides.items():
        with CountedProducts() as products:
            output = run()
        result.operations[name] = products.operations
        if ours is None:
            ours = output
        else:
            result.differences[name] = case.compare(ours, output)
    gemm = Gemm({d for counted in result.operations.values() for d in counted}, size, device)
    for times in (result.seconds, result.cpu_seconds, result.limits, result.cpu_limits):
        times.update({name: [] for name in sides})
    for _ in range(rounds):
        _measure_round(result, sides, gemm)
    return result


def _measure_round(result: Timings, sides: dict[str, Callable[[], Any]], gemm: Gemm) -> None:
    for name, run in sides.items():
        start, cpu_start = time.perf_counter(), time.process_time()
        run()
        if gemm.device != "cpu":
            torch.cuda.synchronize(gemm.device)
        result.seconds[name].append(time.perf_counter() - start)
        result.cpu_seconds[name].append(time.process_time() - cpu_start)
    rates = gemm.seconds_per_operation()
    for name, operations in result.operations.items():
        wall, cpu = (sum(n * rates[d][i] for d, n in operations.items()) for i in (0, 1))
        result.limits[name].append(wall)
        result.cpu_limits[name].append(cpu)


def median_and_range(values: list[float]) -> dict[str, float]:
    """Return the median, the lowest and the highest of some values."""
    return {
        "median": round(statistics.median(values), 6),
        "lowest": round(min(values), 6),
        "highest": round(max(values), 6),
    }
