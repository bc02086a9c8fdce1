"""Figure 1: how large the boxes of two data sets are."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pointrend_repro.base.palette import COLORS
from pointrend_repro.figures.drawing import WIDTH_IN, Picture

DATA = ["box_sizes"]

_PER_IMAGES = 10_000


def draw(described: Mapping[str, Mapping[str, Any]], *, most_px: int = 800) -> Picture:
    """Draw one histogram for each data set.

    Args:
        described: what the check of each data set has found, with `box_sizes`
            (data/box_sizes.py), by its part in the figure.
        most_px: where the x axis ends at the latest.
    """
    figure = Figure(figsize=(WIDTH_IN / 2, 2.4), layout="constrained")
    ax = figure.subplots()
    end_px = 0
    for color, of_dataset in zip(COLORS, described.values(), strict=False):
        sizes = of_dataset["box_sizes"]
        # As many for each data set as 10,000 images would have: "for fair comparison".
        heights = np.array(sizes["counts"]) * _PER_IMAGES / max(sizes["images"], 1)
        edges = np.arange(len(heights) + 1) * sizes["interval_px"]
        ax.stairs(heights, edges, fill=True, alpha=0.5, color=color, label=of_dataset["title"])
        end_px = max(end_px, int(edges[-1]))
    ax.set_xlim(0, max(min(end_px, most_px), 1))
    ax.set_xlabel("square root of the box's area [pixels]")
    ax.set_ylabel(f"boxes in {_PER_IMAGES:,} images")
    ax.legend(frameon=False, fontsize=7)
    return Picture(
        figure,
        title="Figure 1: Sizes of boxes in two data sets",
        caption=(
            "How many boxes have which size, in intervals of 10 pixels, of "
            f"{'; of '.join(_in_words(each) for each in described.values())}. Numbers are those "
            f"of {_PER_IMAGES:,} images. Crowds are left out."
        ),
        alternative_text=(
            "Histograms of box sizes; the median is "
            f"{', '.join(_median(each) for each in described.values())}."
        ),
        image_ids=[],
    )


def _in_words(described: Mapping[str, Any]) -> str:
    sizes = described["box_sizes"]
    return (
        f"{described['title']} ({sizes['boxes']:,} boxes in {sizes['images']:,} training images, "
        f"median {_px(sizes)})"
    )


def _median(described: Mapping[str, Any]) -> str:
    return f"{_px(described['box_sizes'])} in {described['title']}"


def _px(sizes: Mapping[str, Any]) -> str:
    return "unknown" if sizes["median_px"] is None else f"{sizes['median_px']:.0f} pixels"
