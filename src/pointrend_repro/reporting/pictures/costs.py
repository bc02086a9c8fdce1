"""AP against what a mask head costs: multiply-adds for a box, and measured time for an image."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Evaluation, Training, dataset_path
from pointrend_repro.reporting.pictures.plot import (
    Label,
    Scale,
    Tick,
    linear_ticks,
    log_ticks,
    place_labels,
)
from pointrend_repro.reporting.results import Record, Results
from pointrend_repro.reporting.scale import widths
from pointrend_repro.reporting.tables import MeasuredCell, MeasuredTable

# Of a plot of 720 by 440 units, as in cost_plot.html.j2.
LEFT, RIGHT, TOP, BOTTOM = 84, 696, 24, 360


@dataclass(frozen=True)
class Head:
    """A mask head with one way to run it. What is not measured is None.

    Attributes:
        count: the cell with its multiply-adds, in billions for a box.
        ap: the cell with its COCO AP.
        seconds: wall time of predicting an image, median over the trials that one process predicted
            in one run.
        images: how many were predicted.
        devices: what predicted them in that time.
        has_other_widths: whether the models behind AP and time have other numbers of channels than
            the head that is counted, which is the paper's in every preset.
    """

    title: str
    is_pointrend: bool
    count: MeasuredCell
    ap: MeasuredCell | None
    seconds: float | None
    images: int | None
    devices: tuple[str, ...]
    has_other_widths: bool


@dataclass(frozen=True)
class Point:
    """A head in a plot: its place, the ends of its trials, and where its label stands."""

    title: str
    style: str
    x: int
    y: int
    ends: tuple[int, int]
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


@dataclass(frozen=True)
class Costs:
    """All heads whose operations are counted, and the plots of those that have an AP, too."""

    heads: list[Head]
    plots: list[Plot]

    @property
    def has_other_widths(self) -> bool:
        """Whether some AP is of a narrower or wider head than the one that is counted."""
        return any(head.has_other_widths for head in self.heads)


def lay_out_costs(
    grid: Grid, tables: Sequence[MeasuredTable], results: Results, results_dir: Path
) -> Costs:
    """Join the counts of mask heads with the AP and the prediction time of the same models.

    Args:
        results_dir: the preset's folder, which tells how many images a data set has.

    Raises:
        UserError: the record of a data set is damaged.
    """
    cells = [cell for table in tables for cell in table.cells.values()]
    heads = [
        _head(grid, count, count.row.runs, cells, results, results_dir)
        for count in cells
        if count.row.runs and count.column.value == "multiply_adds"
    ]
    counted, remark = "multiply-adds of the mask head per box, in billions", ""
    if any(head.has_other_widths for head in heads):
        counted = "billion multiply-adds per box, at the paper's widths"
        remark = "; the AP is of heads of other widths"
    plots = [
        _plot(
            "operations",
            counted,
            [(h, h.count.measured) for h in heads],
            logarithmic=True,
            remark=remark,
        ),
        _plot(
            "time",
            "wall time per image, in seconds",
            [(h, h.seconds) for h in heads],
            logarithmic=False,
        ),
    ]
    return Costs(heads, [plot for plot in plots if plot is not None])


def _head(
    grid: Grid,
    count: MeasuredCell,
    runs: tuple[str, str],
    cells: Sequence[MeasuredCell],
    results: Results,
    results_dir: Path,
) -> Head:
    ap = next((c for c in cells if c.row.runs == runs and _is_ap(c)), None)
    scores = [e for e, _ in ap.values if isinstance(e, Evaluation)] if ap else []
    records = [record for e in scores if (record := results[e].origin.predict) is not None]
    images = _num_images(results_dir, scores[0].prediction.training.dataset) if scores else None
    timed = [record for record in records if images and _is_of_one_run(record, images)]
    seconds = statistics.median(r.wall_s for r in timed) / images if timed and images else None
    kind = getattr(getattr(grid.variants[runs[0]].model, "mask_head", None), "kind", "")
    return Head(
        title=count.row.title,
        is_pointrend=kind == "pointrend",
        count=count,
        ap=ap if scores else None,
        seconds=seconds,
        images=images,
        devices=tuple(sorted({record.device for record in timed})),
        has_other_widths=any(
            _differs_from_counted(grid, training)
            for training in {score.prediction.training for score in scores}
        ),
    )


def _is_of_one_run(prediction: Record, images: int) -> bool:
    """Whether the wall time is that of all images: of one process, which was never stopped.

    Records from before `timing` do not tell whether it was.
    """
    models, timing = 1 + len(prediction.others), prediction.timing
    is_whole = timing is None or timing.images == models * images
    return prediction.world_size == 1 and is_whole


def _differs_from_counted(grid: Grid, training: Training) -> bool:
    """Whether a preset trains a mask head, or the pyramid that it sees, at other widths."""
    here = grid.training_settings(training.dataset, training.variant).model
    paper = grid.variants[training.variant].model
    of_head, of_paper = (m.model_dump(include={"backbone", "mask_head"}) for m in (here, paper))
    return any(True for _ in widths(of_head, of_paper))


def _is_ap(cell: MeasuredCell) -> bool:
    column = cell.column
    return (column.metric, column.value, column.dataset) == ("coco_ap", "AP", "coco")


def _num_images(results_dir: Path, dataset: str) -> int | None:
    path = results_dir / dataset_path(dataset)
    if not path.exists():
        return None
    record = read_json(path)
    try:
        return int(record["val"]["images"]) or None
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path}: not the record of a data set; check the data again") from None


def _plot(
    name: str,
    x_title: str,
    costs: Sequence[tuple[Head, float | None]],
    *,
    logarithmic: bool,
    remark: str = "",
) -> Plot | None:
    placed = [(h, h.ap, c) for h, c in costs if h.ap is not None and c is not None]
    if not placed:
        return None
    aps = [value for _, ap, _ in placed for _, value in ap.values]
    margin = max(0.12 * (max(aps) - min(aps)), 0.2)
    y = Scale(max(min(aps) - margin, -margin / 2), max(aps) + margin, BOTTOM, TOP)
    values = [c for _, _, c in placed]
    if logarithmic:
        x = Scale(min(values) / 1.6, max(values) * 1.6, LEFT, RIGHT, logarithmic=True)
    else:
        x = Scale(0, max(values) * 1.1, LEFT, RIGHT)
    return Plot(
        name=name,
        title=f"COCO AP against {x_title}",
        description="; ".join(
            f"{h.title}: AP {statistics.median(v for _, v in ap.values):.1f} at {c:.3g}"
            for h, ap, c in placed
        )
        + remark,
        x_title=x_title,
        x_ticks=log_ticks(x) if logarithmic else linear_ticks(x, 5),
        y_ticks=[tick for tick in linear_ticks(y, 5) if not tick.text.startswith("-")],
        points=_points([(h, ap, x(c)) for h, ap, c in placed], y),
    )


def _points(placed: Sequence[tuple[Head, MeasuredCell, int]], y: Scale) -> list[Point]:
    trials = [[value for _, value in ap.values] for _, ap, _ in placed]
    places = [(x, y(statistics.median(v))) for (_, _, x), v in zip(placed, trials, strict=True)]
    titles = [head.title for head, _, _ in placed]
    labels = place_labels(places, titles, (LEFT, TOP, RIGHT, BOTTOM))
    return [
        Point(
            title=head.title,
            style="pointrend" if head.is_pointrend else "other",
            x=place[0],
            y=place[1],
            ends=(y(min(values)), y(max(values))),
            label=label,
        )
        for (head, _, _), place, values, label in zip(placed, places, trials, labels, strict=True)
    ]
