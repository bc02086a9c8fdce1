"""Figure 6 (f to h): recall against the IoU that a proposal must have."""

from collections.abc import Mapping

import numpy as np

from pointrend_repro.figures.drawing import Picture, Score
from pointrend_repro.papers.sharpmask.figures.plots import curve, line, lines_in_words, new_panel

SCORES = ["proposal_recall", "proposal_box_recall"]

_THRESHOLDS = np.linspace(0.5, 0.95, 10)


def draw(scores: Mapping[str, Score], *, panel: str, proposals: int) -> Picture:
    """Draw a line for each score.

    Args:
        panel: the letter of the paper's.
        proposals: of an image, 10, 100 or 1000.

    Raises:
        UserError: a file of scores has no curves.
    """
    figure, ax = new_panel()
    for number, score in enumerate(scores.values()):
        recall = curve(score, "recall", str(proposals))
        line(ax, number, _THRESHOLDS.tolist(), recall, score.label)
    ax.set(xlim=(0.5, 0.95), ylim=(0, None), xlabel="IoU threshold", ylabel="recall, %")
    ax.legend(fontsize=7, frameon=False)
    means = lines_in_words(scores, f"AR@{proposals}")
    return Picture(
        figure,
        title=f"Figure 6{panel}: Recall with {proposals} proposals against IoU",
        caption=(
            f"The share of objects that one of an image's first {proposals} proposals overlaps by "
            "at least the IoU on the axis, by the models of the first trial. Its mean is average "
            "recall."
        ),
        alternative_text=f"Falling lines over IoU 0.5 to 0.95. Their means, in %: {means}.",
        image_ids=[],
    )
