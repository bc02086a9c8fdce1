"""Training curves as small plots, one a variant, each trial a thin line."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.formats import count
from pointrend_repro.reporting.pictures.plot import Scale, Tick, linear_ticks, path
from pointrend_repro.reporting.pictures.thinning import SKIPPED, Curve

# Of a plot of 640 by 560 units, as in curve_plot.html.j2.
LEFT, RIGHT = 84, 624
# Upper and lower edge of each of its parts.
_EDGES = {"loss": (40, 240), "parts": (296, 416), "rate": (468, 504)}
_TICKS = {"loss": 4, "parts": 2, "rate": 0}

# What the log calls the parts of the loss, in the order in which the page lists them.
PARTS = {
    "loss_rpn_objectness": "RPN objectness",
    "loss_rpn_box": "RPN box",
    "loss_cls": "box class",
    "loss_box": "box",
    "loss_mask": "mask (of PointRend: coarse)",
    "loss_mask_coarse": "coarse mask",
    "loss_mask_point": "mask at points",
    "loss_keypoint": "keypoints",
    "loss_sem_seg": "semantic labels",
    "loss_sem_seg_point": "semantic labels at points",
}


@dataclass(frozen=True)
class Part:
    """A part of the loss in words, and the class of its lines."""

    words: str
    style: str


@dataclass(frozen=True)
class Line:
    """One line of a plot; `style` is its class."""

    style: str
    path: str


@dataclass(frozen=True)
class Plot:
    """One of the plots of a variant: its edges, its vertical axis and its lines."""

    title: str
    top: int
    bottom: int
    ticks: list[Tick]
    lines: list[Line]


@dataclass(frozen=True)
class Row:
    """One training in numbers; losses are those of its first and last point, as thinned."""

    trial: int
    updates: int
    first_loss: float
    last_loss: float
    last_parts: dict[str, float]
    highest_rate: float
    skipped: int
    log: str


@dataclass(frozen=True)
class VariantCurves:
    """The trainings of one variant on one data set."""

    anchor: str
    title: str
    description: str
    plots: list[Plot]
    ticks: list[Tick]
    rows: list[Row]


@dataclass(frozen=True)
class DatasetCurves:
    """The variants that are trained on one data set; `parts` are those that any of them has."""

    dataset: str
    title: str
    parts: dict[str, Part]
    variants: list[VariantCurves]


def lay_out_curves(grid: Grid, curves: Sequence[Curve]) -> list[DatasetCurves]:
    """Return the plots of a preset's trainings, by data set and variant.

    Curves of trainings that are not in the preset are left out.
    """
    wanted = set(grid.trainings)
    ours = sorted((c for c in curves if c.training in wanted), key=lambda c: c.training)
    found = []
    for dataset, of_dataset in groupby(ours, key=lambda c: c.training.dataset):
        group = list(of_dataset)
        variants = [
            _variant(grid, list(same))
            for _, same in groupby(group, key=lambda c: c.training.variant)
        ]
        variants.sort(key=lambda variant: variant.title)
        found.append(DatasetCurves(dataset, grid.datasets[dataset].title, _parts(group), variants))
    return found


def _parts(curves: Sequence[Curve]) -> dict[str, Part]:
    """Return the parts of the loss that any of the curves has, those of other heads last."""
    there = {key for curve in curves for key in curve.values if key.startswith("loss_")}
    known = [key for key in PARTS if key in there]
    styles = {key: f"part{i}" for i, key in enumerate(PARTS)}
    return {
        key: Part(PARTS.get(key, key), styles.get(key, "other"))
        for key in [*known, *sorted(there - set(PARTS))]
    }


def _variant(grid: Grid, curves: list[Curve]) -> VariantCurves:
    training = curves[0].training
    title = grid.variants[training.variant].title
    updates = Scale(0, max(curve.updates[-1] for curve in curves), LEFT, RIGHT)
    parts = [(key, part.style) for key, part in _parts(curves).items()]
    rows = [_row(curve) for curve in curves]
    planned = sum(
        t.dataset == training.dataset and t.variant == training.variant for t in grid.trainings
    )
    return VariantCurves(
        anchor=f"curves-{training.dataset}-{training.variant}",
        title=title,
        description=_describe(title, rows, planned),
        plots=[
            _plot("loss", "loss", curves, updates, [("loss", "total")]),
            _plot("parts", "loss terms", curves, updates, parts),
            _plot("rate", _rate_title(rows), curves, updates, [("lr", "rate")]),
        ],
        ticks=linear_ticks(updates, 4),
        rows=rows,
    )


def _plot(
    name: str, title: str, curves: list[Curve], updates: Scale, keys: list[tuple[str, str]]
) -> Plot:
    top, bottom = _EDGES[name]
    numbers = [v for key, _ in keys for c in curves for v in c.values.get(key, ())]
    finite = [v for v in numbers if math.isfinite(v)]
    scale = Scale(0, max(finite, default=1.0) or 1.0, bottom, top)
    lines = [
        Line(style, _line(curve, key, updates, scale))
        for key, style in keys
        for curve in curves
        if key in curve.values
    ]
    # The trials' learning rates are one and the same line.
    return Plot(title, top, bottom, linear_ticks(scale, _TICKS[name]), list(dict.fromkeys(lines)))


def _line(curve: Curve, key: str, updates: Scale, scale: Scale) -> str:
    return path(
        (updates(x), scale(y)) if math.isfinite(y) else None
        for x, y in zip(curve.updates, curve.values[key], strict=True)
    )


def _row(curve: Curve) -> Row:
    loss = [v for v in curve.values.get("loss", ()) if math.isfinite(v)]
    return Row(
        trial=curve.training.trial,
        updates=curve.updates[-1],
        first_loss=loss[0] if loss else math.nan,
        last_loss=loss[-1] if loss else math.nan,
        last_parts={key: curve.values[key][-1] for key in _parts([curve])},
        highest_rate=max(curve.values.get("lr", (math.nan,))),
        skipped=round(max((v for v in curve.values.get(SKIPPED, ()) if v > 0), default=0)),
        log=curve.training.updates_path,
    )


def _rate_title(rows: list[Row]) -> str:
    return f"learning rate, up to {max(row.highest_rate for row in rows):.2g}"


def _describe(title: str, rows: list[Row], planned: int) -> str:
    trials = count(planned, "trial")
    if len(rows) < planned:
        trials = f"{len(rows)} of {trials}"
    last = sorted(row.last_loss for row in rows)
    to = f"{last[0]:.3g}" if last[0] == last[-1] else f"{last[0]:.3g} to {last[-1]:.3g}"
    return (
        f"Mean loss of {title}, {trials}: from {rows[0].first_loss:.3g} to {to} after "
        f"{max(row.updates for row in rows):,} updates. Below: the loss terms and the "
        "learning rate."
    )
