"""AP against what a mask head costs: multiply-adds for a box, and measured time for an image."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Evaluation, Training, dataset_path
from pointrend_repro.reporting.pictures.cost_plots import Measured, Plot, plot_costs
from pointrend_repro.reporting.results import Record, Results
from pointrend_repro.reporting.scale import widths
from pointrend_repro.reporting.tables import MeasuredCell, MeasuredTable


@dataclass(frozen=True)
class Head:
    """A mask head with one way to run it. What is not measured is None.

    Attributes:
        count: the cell with its multiply-adds, in billions for a box.
        ap: the cell with its COCO AP.
        times: seconds to predict an image (wall time) of each trial that one process predicted in
            one run, from the least to the most.
        images: how many were predicted.
        devices: what predicted them in that time.
        has_other_widths: whether the models behind AP and time have other numbers of channels than
            the head that is counted, which is the paper's in every preset.
    """

    title: str
    is_pointrend: bool
    count: MeasuredCell
    ap: MeasuredCell | None
    times: tuple[float, ...]
    images: int | None
    devices: tuple[str, ...]
    has_other_widths: bool

    @property
    def seconds(self) -> float | None:
        """The median of the times."""
        return statistics.median(self.times) if self.times else None


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
    operations = _measured([(h, [n for _, n in h.count.values]) for h in heads])
    times = _measured([(head, head.times) for head in heads])
    plots = [
        plot_costs("operations", counted, operations, logarithmic=True, remark=remark),
        plot_costs("time", "wall time per image, in seconds", times, logarithmic=False),
    ]
    return Costs(heads, [plot for plot in plots if plot is not None])


def _measured(heads: Sequence[tuple[Head, Sequence[float]]]) -> list[Measured]:
    """Return those that have both an AP and the cost."""
    return [
        Measured(head.title, head.is_pointrend, [ap for _, ap in head.ap.values], costs)
        for head, costs in heads
        if head.ap is not None and costs
    ]


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
    kind = getattr(getattr(grid.variants[runs[0]].model, "mask_head", None), "kind", "")
    return Head(
        title=count.row.title,
        is_pointrend=kind == "pointrend",
        count=count,
        ap=ap if scores else None,
        times=tuple(sorted(record.wall_s / images for record in timed)) if images else (),
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
