"""The figure of docs/scaling.md: seconds and memory against size, on logarithmic axes."""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

PANELS = {
    "Scoring COCO": ("coco_ap", "lvis_ap_star", "boundary_ap", "read_coco"),
    "Scoring Cityscapes": ("cityscapes_ap", "cityscapes_miou", "trimap_miou"),
    "The pipeline": ("dry_run", "collect", "report"),
}
LABELS = {"read_coco": "read annotations", "dry_run": "snakemake -n (jobs)"}
_MARKERS = "osd^"


def draw(folder: Path, output: Path) -> None:
    """Draw the series that are measured, `<series>.json` in `folder`."""
    mpl.rcParams |= {"svg.hashsalt": "scaling", "font.size": 8, "svg.fonttype": "none"}
    figure, axes = plt.subplots(2, len(PANELS), figsize=(9.5, 5), sharex="col", sharey="row")
    for (title, names), (above, below) in zip(PANELS.items(), axes.T, strict=True):
        for marker, name in zip(_MARKERS, names, strict=False):
            path = folder / f"{name}.json"
            if path.exists():
                _plot(above, below, json.loads(path.read_text()), marker)
        above.set_title(title)
        above.legend(frameon=False)
        below.set_xlabel("jobs, metric files" if title == "The pipeline" else "images")
    axes[0, 0].set_ylabel("CPU seconds")
    axes[1, 0].set_ylabel("peak memory, MB")
    for axis in axes.flat:
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    output.parent.mkdir(exist_ok=True)
    figure.savefig(output, metadata={"Date": None})
    plt.close(figure)


def _plot(above: Axes, below: Axes, series: dict[str, Any], marker: str) -> None:
    sizes = [point.get("jobs", point.get("files", point["size"])) for point in series["points"]]
    name = series["series"]
    for axis, key in ((above, "cpu_seconds"), (below, "memory_mb")):
        values = [point[key] for point in series["points"]]
        axis.plot(sizes, values, marker=marker, markersize=3.5, label=LABELS.get(name, name))
