"""AP against one cost of mask heads, as a plot."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pointrend_repro.reporting.pictures.plot import (
    Label,
    Scale,
    Tick,
    linear_ticks,
    log_ticks,
    place_labels,
)

# Of a plot of 720 by 440 units, as in cost_plot.html.j2.
LEFT, RIGHT, TOP, BOTTOM = 84, 696, 24, 360


@dataclass(frozen=True)
class Measured:
    """The AP of each trial of a head, and each measurement of its cost; neither is empty."""

    title: str
    is_pointrend: bool
    aps: Sequence[float]
    costs: Sequence[float]


@dataclass(frozen=True)
class Point:
    """A head in a plot: its place, the ends of its trials' AP and cost, and its label's place."""

    title: str
    style: str
    x: int
    y: int
    ends: tuple[int, int]
    reach: tuple[int, int]
    label: Label


@dataclass(frozen=True)
class Plot:
    """AP against one cost."""

    name: str
    title: str
    description: str
    x_title: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    points: list[Point]


def plot_costs(
    name: str, x_title: str, heads: Sequence[Measured], *, logarithmic: bool, remark: str = ""
) -> Plot | None:
    """Return the plot; None if there is nothing to show.

    Args:
        remark: what its description says at the end.
    """
    if not heads:
        return None
    aps, costs = [v for h in heads for v in h.aps], [v for h in heads for v in h.costs]
    margin = max(0.12 * (max(aps) - min(aps)), 0.2)
    y = Scale(max(min(aps) - margin, -margin / 2), max(aps) + margin, BOTTOM, TOP)
    if logarithmic:
        x = Scale(min(costs) / 1.6, max(costs) * 1.6, LEFT, RIGHT, logarithmic=True)
    else:
        x = Scale(0, max(costs) * 1.1, LEFT, RIGHT)
    return Plot(
        name=name,
        title=f"COCO AP against {x_title}",
        description="; ".join(
            f"{h.title}: AP {statistics.median(h.aps):.1f} at {statistics.median(h.costs):.3g}"
            for h in heads
        )
        + remark,
        x_title=x_title,
        x_ticks=log_ticks(x) if logarithmic else linear_ticks(x, 5),
        y_ticks=[tick for tick in linear_ticks(y, 5) if not tick.text.startswith("-")],
        points=_points(heads, x, y),
    )


def _points(heads: Sequence[Measured], x: Scale, y: Scale) -> list[Point]:
    places = [(x(statistics.median(h.costs)), y(statistics.median(h.aps))) for h in heads]
    labels = place_labels(places, [head.title for head in heads], (LEFT, TOP, RIGHT, BOTTOM))
    return [
        Point(
            title=head.title,
            style="pointrend" if head.is_pointrend else "other",
            x=place[0],
            y=place[1],
            ends=(y(min(head.aps)), y(max(head.aps))),
            reach=(x(min(head.costs)), x(max(head.costs))),
            label=label,
        )
        for head, place, label in zip(heads, places, labels, strict=True)
    ]
