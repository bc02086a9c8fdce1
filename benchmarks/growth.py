"""How the cost of PointRend's mask head grows, ours and the yardstick's, on one CPU thread.

    python -m benchmarks.growth [boxes] [classes] [resolution] [points]   # measures; default: all
    python -m benchmarks.growth --draw                                    # the figure

One quantity varies at a time, around 10 boxes of 80 classes, 224x224 and 784 points a step. The
sides take turns; their times are CPU seconds, so that a busy machine matters little. Memory is that
of `pointrend_repro.tools.bench.memory`, each in a process of its own. Where the yardstick's masks
of all classes alone would take more than 4 GB, it is left out.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.cases.mask_head import ours, plain
from benchmarks.growth_figure import draw_figure
from benchmarks.inputs import FPN_CHANNELS, MaskInputs, mask_inputs
from pointrend_repro.base.files import write_json
from pointrend_repro.base.provenance import cpu_name, start_record
from pointrend_repro.modeling.steps import rendered_steps
from pointrend_repro.tools.bench.memory import method, peak_mb_of

RESULTS = Path(__file__).parent / "results" / "mask_head_growth_cpu_1.json"
HEIGHT, WIDTH = 800, 1216
AROUND = {"boxes": 10, "classes": 80, "resolution": 224, "points": 784}
VALUES = {
    "boxes": [1, 3, 10, 30, 100, 300, 1000],
    "classes": [1, 10, 80, 300, 1203],
    "resolution": [28, 56, 112, 224, 448, 896],
    "points": [49, 196, 784, 3136, 12544],
}
MOST_YARDSTICK_BYTES = 4e9
SIDES = {"ours": ours, "yardstick": plain}
ROUNDS, ENOUGH_S = 2, 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("axes", nargs="*", metavar="axis", help=", ".join(VALUES))
    parser.add_argument("--draw", action="store_true", help="measure nothing, draw what there is")
    parser.add_argument("--memory", nargs=2, metavar=("SIDE", "POINT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        print(memory_of(options.memory[0], json.loads(options.memory[1])))
        return
    for axis in [] if options.draw else options.axes or VALUES:
        measure_axis(axis)
    draw_figure(json.loads(RESULTS.read_text()))


def measure_axis(axis: str) -> None:
    """Measure all values of one quantity, and put them into the results beside the others."""
    finish = start_record(settings=AROUND, seed=0, device=cpu_name())
    points = []
    for value in VALUES[axis]:
        points.append(measure_point(AROUND | {axis: value}))
        record = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"axes": {}}
        origin = finish()
        del origin["peak_memory_mb"]
        record["axes"][axis] = {"points": points, "origin": origin}
        record |= {"threads": 1, "image_px": [HEIGHT, WIDTH], "memory_method": method("cpu")}
        write_json(RESULTS, record)


def measure_point(point: dict[str, int]) -> dict[str, Any]:
    """Measure both sides at one point of the plane of settings."""
    inputs = inputs_of(point)
    sides = {"ours": SIDES["ours"](inputs, point["resolution"], point["points"])}
    if yardstick_bytes(point) <= MOST_YARDSTICK_BYTES:
        sides["yardstick"] = SIDES["yardstick"](inputs, point["resolution"], point["points"])
    seconds = _take_turns(sides)
    result: dict[str, Any] = {
        name: {"cpu_s": statistics.median(times), "rounds": times, "peak_mb": _peak_mb(name, point)}
        for name, times in seconds.items()
    }
    rate = gemm_rate()
    print(point, {name: round(result[name]["cpu_s"], 3) for name in sides}, f"{rate / 1e9:.0f} G/s")
    return {"settings": point, "gemm_multiply_adds_a_s": rate, "sides": result} | {
        "multiply_adds": multiply_adds(point)
    }


def _take_turns(sides: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for run in sides.values():
        run()
    while min(map(len, seconds.values())) < ROUNDS:
        for name, run in sides.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
        if sum(sum(times) for times in seconds.values()) > ENOUGH_S:
            break
    return seconds


def inputs_of(point: dict[str, int]) -> MaskInputs:
    return mask_inputs(
        num_boxes=point["boxes"],
        num_classes=point["classes"],
        height=HEIGHT,
        width=WIDTH,
        device="cpu",
    )


def _peak_mb(side: str, point: dict[str, int]) -> float:
    command = [sys.executable, "-m", "benchmarks.growth", "--memory", side, json.dumps(point)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.splitlines()[-1])


def memory_of(side: str, point: dict[str, int]) -> float:
    """Return the additional peak memory of one run in MB, after a small one that loads things."""
    small = AROUND | {"boxes": 1, "classes": 1, "resolution": 56}
    SIDES[side](inputs_of(small), small["resolution"], small["points"])()
    return peak_mb_of(SIDES[side](inputs_of(point), point["resolution"], point["points"]), "cpu")


def yardstick_bytes(point: dict[str, int]) -> float:
    """Return the size of the masks of all classes at the output resolution, in float32."""
    return 4.0 * point["boxes"] * point["classes"] * point["resolution"] ** 2


def multiply_adds(point: dict[str, int]) -> float:
    """Count what our head must multiply for its masks; sampling and selecting are not counted."""
    boxes, classes, width = point["boxes"], point["classes"], FPN_CHANNELS
    steps = rendered_steps(7, point["resolution"], point["points"])
    points = boxes * sum(count for _, count in steps)
    cells = (HEIGHT // 4) * (WIDTH // 4)
    coarse = 49 * 4 * width**2 + 49 * width * 1024 + 1024**2 + 1024 * 49 * classes
    projected_coarse = 81 * classes * (3 * width + 1)
    first_layer = (points if 2 * points <= cells else cells) * width**2
    return float(
        boxes * (coarse + projected_coarse) + first_layer + points * (2 * width**2 + width)
    )


def gemm_rate() -> float:
    """Return the multiply-adds a CPU second of a product of the point head's shape."""
    x, weight = torch.randn(1568, FPN_CHANNELS), torch.randn(FPN_CHANNELS, FPN_CHANNELS)
    seconds = []
    for _ in range(30):
        start = time.process_time()
        x @ weight
        seconds.append(time.process_time() - start)
    return 1568 * FPN_CHANNELS**2 / min(seconds)


if __name__ == "__main__":
    main()
