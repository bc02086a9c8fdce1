"""Figure 6 (a to e): average recall against the number of proposals."""

from collections.abc import Mapping
from typing import Literal

from pointrend_repro.figures.drawing import Picture, Score
from pointrend_repro.papers.sharpmask.figures.plots import curve, line, lines_in_words, new_panel

SCORES = ["proposal_recall", "proposal_box_recall"]

_SIZES = {
    "": "all objects",
    "_S": "small objects (area below 32²)",
    "_M": "medium objects (32² to 96²)",
    "_L": "large objects (above 96²)",
}


def draw(
    scores: Mapping[str, Score], *, panel: str, size: Literal["", "_S", "_M", "_L"] = ""
) -> Picture:
    """Draw a line for each score.

    Args:
        panel: the letter of the paper's.
        size: of the objects, as the metric's keys end.

    Raises:
        UserError: a file of scores has no curves.
    """
    figure, ax = new_panel()
    for number, score in enumerate(scores.values()):
        counts = [float(count or 0) for count in curve(score, "counts")]
        line(ax, number, counts, curve(score, f"AR{size}"), score.label)
    ax.set(xscale="log", xlim=(1, 1000), ylim=(0, None))
    ax.set(xlabel="number of proposals", ylabel="average recall, %")
    ax.legend(fontsize=7, frameon=False)
    ends = lines_in_words(scores, f"AR@1000{size}")
    return Picture(
        figure,
        title=f"Figure 6{panel}: Average recall against the number of proposals",
        caption=(
            f"Average recall over IoU 0.50 to 0.95 of {_SIZES[size]}, with an image's first "
            "proposals, by the models of the first trial. The lines of other people's methods in "
            "the paper's figure are not printed as numbers."
        ),
        alternative_text=f"Rising lines over 1 to 1000 proposals. At 1000, in %: {ends}.",
        image_ids=[],
    )
