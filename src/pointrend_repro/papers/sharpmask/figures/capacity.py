"""Figure 5 (a, b): what the capacity of the refinement gains, and the time it takes."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.palette import COLORS
from pointrend_repro.figures.drawing import WIDTH_IN, Picture, Score
from pointrend_repro.papers.sharpmask.figures.plots import prepare

SCORES = ["proposal_recall", "proposal_time"]

_TIME = "_time"
_SCHEDULES = {"a": "k in all modules", "b": "k halved in each module"}

# The label, the time in ms and AUC in %.
_Point = tuple[str, float, float]


def draw(scores: Mapping[str, Score]) -> Picture:
    """Draw AUC against the time of an image, a panel for each schedule.

    Args:
        scores: recall by the schedule and k, such as `a8`, and time by that name and `_time`.

    Raises:
        UserError: a model has no time.
    """
    figure = Figure(figsize=(WIDTH_IN, 2.6), layout="constrained")
    told = []
    for ax, (schedule, title) in zip(figure.subplots(1, 2), _SCHEDULES.items(), strict=True):
        points = _points(scores, schedule)
        _draw_panel(ax, points)
        ax.set_title(f"({schedule}) {title}")
        told += [f"({schedule}) {label}: {auc:.1f} in {time:.0f} ms" for label, time, auc in points]
    return Picture(
        figure,
        title="Figure 5 (a, b): Capacity of the refinement",
        caption=(
            "AUC and the time of an image of 640x480 pixels with 500 refined proposals, by the "
            "number k of channels of the first encodings. AUC is of the first trial's models; "
            "times are of the device that measured them, which the origins of the table's cells "
            "name."
        ),
        alternative_text=f"Two lines of points, one for each k. {', '.join(told) or 'Nothing'}.",
        image_ids=[],
    )


def _points(scores: Mapping[str, Score], schedule: str) -> list[_Point]:
    points = []
    for name, score in scores.items():
        if not name.startswith(schedule) or name.endswith(_TIME):
            continue
        if name + _TIME not in scores:
            raise UserError(f"scores: {name} has no {name}{_TIME}")
        time, auc = scores[name + _TIME].values["total_ms"], score.values["AUC"]
        if time is not None and auc is not None:
            points.append((score.label, time, auc))
    return points


def _draw_panel(ax: Axes, points: Sequence[_Point]) -> None:
    prepare(ax)
    ax.plot([p[1] for p in points], [p[2] for p in points], "o-", color=COLORS[5], markersize=4)
    for label, time, auc in points:
        is_last = time == max(p[1] for p in points)
        ax.annotate(
            label,
            (time, auc),
            xytext=(-4, 4) if is_last else (4, -9),
            textcoords="offset points",
            fontsize=7,
            ha="right" if is_last else "left",  # within the frame, and over no other label
        )
    ax.set(xlabel="time of an image, ms", ylabel="AUC, %")
    ax.margins(0.15)
