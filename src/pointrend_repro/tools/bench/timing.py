"""Interleaved timings of a case's sides, and the differences of their outputs."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from pointrend_repro.tools.bench.case import Case, NotInstalled


@dataclass
class Timings:
    """The times of a case's sides, round by round.

    Attributes:
        seconds: a side's name -> seconds of each round.
        cpu_seconds: the same in CPU time of this process, which depends little on other processes
            on a busy machine.
        differences: a side's name -> how its output differs from ours.
        left_out: a side's name -> the library that it needs and that is not installed.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu_seconds: dict[str, list[float]] = field(default_factory=dict)
    differences: dict[str, dict[str, float]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def measure_times(case: Case, *, rounds: int, device: str) -> Timings:
    """Run the sides in turn, once unmeasured to compare their outputs, then `rounds` times.

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
    names = iter(sides)
    ours = sides[next(names)]()
    for name in names:
        result.differences[name] = case.compare(ours, sides[name]())
    result.seconds = {name: [] for name in sides}
    result.cpu_seconds = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            run()
            if device != "cpu":
                torch.cuda.synchronize(device)
            result.seconds[name].append(time.perf_counter() - start)
            result.cpu_seconds[name].append(time.process_time() - cpu_start)
    return result


def median_and_range(values: list[float]) -> dict[str, float]:
    """Return the median, the lowest and the highest of some values."""
    return {
        "median": round(statistics.median(values), 6),
        "lowest": round(min(values), 6),
        "highest": round(max(values), 6),
    }
