"""The figure and the table of `benchmarks.growth`, from its JSON."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

FIGURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "mask_head_growth.png"
LABELS = {
    "boxes": "boxes",
    "classes": "classes",
    "resolution": "output resolution",
    "points": "points a step",
}
_COLOURS = {"ours": "tab:blue", "yardstick": "tab:orange"}


def draw_figure(record: dict[str, Any], path: Path = FIGURE) -> None:
    """Draw CPU seconds above and memory below, a column a quantity."""
    axes = [axis for axis in LABELS if axis in record["axes"]]
    figure, grid = plt.subplots(2, len(axes), figsize=(3.2 * len(axes), 5.2), squeeze=False)
    for column, axis in enumerate(axes):
        points = record["axes"][axis]["points"]
        for row, quantity in enumerate(("cpu_s", "peak_mb")):
            _draw_sides(grid[row][column], points, axis, quantity)
        limits = [p["multiply_adds"] / p["gemm_multiply_adds_a_s"] for p in points]
        values = [p["settings"][axis] for p in points]
        grid[0][column].plot(values, limits, "k:", label="ours, at the rate of a GEMM")
        grid[1][column].set_xlabel(LABELS[axis])
    grid[0][0].set_ylabel("CPU seconds, one thread")
    grid[1][0].set_ylabel("additional memory, MB")
    grid[0][0].legend(fontsize=7)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _draw_sides(axes: Axes, points: list[dict[str, Any]], axis: str, quantity: str) -> None:
    for side, colour in _COLOURS.items():
        there = [p for p in points if side in p["sides"]]
        values = [p["settings"][axis] for p in there]
        measured = [p["sides"][side][quantity] for p in there]
        axes.plot(values, measured, "o-", markersize=3, color=colour, label=side)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)


def growth_table(record: dict[str, Any]) -> str:
    """Return the measured points as Markdown."""
    lines = [
        "| varies | value | ours, s | yardstick, s | GEMM limit, s | ours, MB | yardstick, MB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for axis, label in LABELS.items():
        for point in record["axes"].get(axis, {"points": []})["points"]:
            cells = [label, str(point["settings"][axis])]
            sides = point["sides"]
            limit = point["multiply_adds"] / point["gemm_multiply_adds_a_s"]
            cells += [_number(sides, s, "cpu_s", ".2f") for s in _COLOURS] + [f"{limit:.2f}"]
            cells += [_number(sides, s, "peak_mb", ".0f") for s in _COLOURS]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(sides: dict[str, Any], side: str, quantity: str, how: str) -> str:
    return format(sides[side][quantity], how) if side in sides else "left out"
