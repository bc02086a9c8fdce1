"""Figure 5 (a, b): what the capacity of the refinement gains, and the time it takes."""

from collections.abc import Mapping

from pointrend_repro.base.errors import UserError
from pointrend_repro.figures.drawing import COLORS, Picture, Score
from pointrend_repro.papers.sharpmask.figures.plots import new_panel

SCORES = ["proposal_recall", "proposal_time"]

_TIME = "_time"


def draw(scores: Mapping[str, Score], *, panel: str, schedule: str) -> Picture:
    """Draw a point for each model: AUC against the time of an image.

    Args:
        scores: recall by a model's name, and time by that name and `_time`.
        panel: the letter of the paper's.
        schedule: of the channels, in words.

    Raises:
        UserError: a model has no time.
    """
    figure, ax = new_panel()
    times, recalls, labels = [], [], []
    for name, score in scores.items():
        if name.endswith(_TIME):
            continue
        if name + _TIME not in scores:
            raise UserError(f"scores: {name} has no {name}{_TIME}")
        time, auc = scores[name + _TIME].values["total_s"], score.values["AUC"]
        if time is not None and auc is not None:
            times.append(time)
            recalls.append(auc)
            labels.append(score.label)
    ax.plot(times, recalls, "o-", color=COLORS[5], linewidth=1.2, markersize=4)
    for point in zip(labels, times, recalls, strict=True):
        ax.annotate(point[0], point[1:], xytext=(4, -9), textcoords="offset points", fontsize=7)
    ax.set(xlabel="time of an image, s", ylabel="AUC, %")
    ax.margins(0.15)
    points = zip(labels, times, recalls, strict=True)
    told = ", ".join(f"{label}: {auc:.1f} in {time:.2f} s" for label, time, auc in points)
    return Picture(
        figure,
        title=f"Figure 5{panel}: Capacity of the refinement, {schedule}",
        caption=(
            "AUC and the time of an image of 640x480 pixels with 500 refined proposals, by the "
            "number k of channels of the first encodings. AUC is of the first trial's models; "
            "times are of the device that measured them, which its origin names."
        ),
        alternative_text=f"A line of points, one for each k. {told or 'Nothing to score'}.",
        image_ids=[],
    )
