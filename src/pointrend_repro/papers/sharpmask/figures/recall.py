"""Figure 6: average recall against the number of proposals, and recall against IoU."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pointrend_repro.figures.drawing import WIDTH_IN, Picture, Score
from pointrend_repro.papers.sharpmask.figures.plots import curve, line, lines_in_words, prepare

SCORES = ["proposal_recall", "proposal_box_recall"]

_BOX = "_box"
_THRESHOLDS = np.linspace(0.5, 0.95, 10).tolist()
_COLUMNS = 3


class _Panel(NamedTuple):
    title: str
    of_boxes: bool = False
    size: str = ""  # as the metric's keys end
    proposals: int | None = None  # of recall against IoU


_PANELS = {
    "a": _Panel("box proposals", of_boxes=True),
    "b": _Panel("segmentation proposals"),
    "c": _Panel("small objects (area < 32²)", size="_S"),
    "d": _Panel("medium objects (32² to 96²)", size="_M"),
    "e": _Panel("large objects (area > 96²)", size="_L"),
    "f": _Panel("10 proposals", proposals=10),
    "g": _Panel("100 proposals", proposals=100),
    "h": _Panel("1000 proposals", proposals=1000),
}


def draw(scores: Mapping[str, Score]) -> Picture:
    """Draw the eight panels, each with a line for each row of Table 3 that is measured.

    Args:
        scores: recall of masks by a row's name, and of boxes by that name and `_box`.

    Raises:
        UserError: a file of scores has no curves.
    """
    rows = -(-(len(_PANELS) + 1) // _COLUMNS)
    figure = Figure(figsize=(WIDTH_IN, 2.0 * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS).ravel()
    for ax, (letter, panel) in zip(axes, _PANELS.items(), strict=False):
        prepare(ax)
        ax.set_title(f"({letter}) {panel.title}")
        shown = [s for name, s in scores.items() if name.endswith(_BOX) == panel.of_boxes]
        for number, score in enumerate(shown):
            _draw_line(ax, number, score, panel)
        ax.set_ylim(bottom=0)
    last = axes[len(_PANELS)]
    last.set_axis_off()
    last.legend(*axes[1].get_legend_handles_labels(), loc="center", frameon=False)
    masks = {name: score for name, score in scores.items() if not name.endswith(_BOX)}
    return Picture(
        figure,
        title="Figure 6: Recall of proposals",
        caption=(
            "(a, b) Average recall over IoU 0.50 to 0.95 against the number of proposals, for "
            "boxes and for masks. (c to e) The same of masks by the objects' size. (f to h) Recall "
            "of masks against the IoU that counts as found. By the models of the first trial; the "
            "paper's lines of other people's methods are not printed as numbers."
        ),
        alternative_text=(
            "Eight plots with rising lines over 1 to 1000 proposals and falling ones over IoU. "
            "Average recall of masks with 1000 proposals, in %: "
            f"{lines_in_words(masks, 'AR@1000')}."
        ),
        image_ids=[],
    )


def _draw_line(ax: Axes, number: int, score: Score, panel: _Panel) -> None:
    if panel.proposals is not None:
        recall = curve(score, "recall", str(panel.proposals))
        line(ax, number, _THRESHOLDS, recall, score.label)
        ax.set(xlim=(0.5, 0.95), xlabel="IoU", ylabel="recall, %")
        return
    counts = [float(count or 0) for count in curve(score, "counts")]
    line(ax, number, counts, curve(score, f"AR{panel.size}"), score.label)
    ax.set(xscale="log", xlim=(1, 1000), xlabel="proposals", ylabel="AR, %")
