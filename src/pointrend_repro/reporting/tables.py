"""The paper's tables with measured numbers beside the published ones, and a verdict by a rule."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import pandas as pd

from pointrend_repro.config.tables import Column, Row, Table
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cell, Cost, Evaluation
from pointrend_repro.reporting.missing import Absent

Status = Literal["reproduced", "deviates", "no-claim", "missing"]
STATUSES: tuple[Status, ...] = ("reproduced", "deviates", "no-claim", "missing")

# Far below what any metric resolves, far above the rounding error of a subtraction: a difference
# that is the tolerance on paper counts as within it.
_EDGE = 1e-9


@dataclass(frozen=True)
class MeasuredCell:
    """One cell of a table: the published number, the trials' values and the verdict.

    `values` holds the trials that have a value; numbers are in `column.unit`. `data_changed` says
    that some trial was made of other data than there are today (`data_state.mark_cells`), `altered`
    why some trial is no longer as it was made (`altered.mark_altered`); empty if all are.
    """

    cell: Cell
    row: Row
    column: Column
    values: tuple[tuple[Evaluation | Cost, float], ...]
    status: Status
    reason: str
    data_changed: bool = False
    altered: str = ""

    @property
    def paper(self) -> float | None:
        """The published number, if there is one."""
        return self.row.paper.get(self.cell.column)

    @property
    def counted(self) -> bool:
        """Whether the number is of an untrained model, which needs neither data nor trials."""
        return self.column.dataset is None

    @property
    def trials(self) -> int:
        """How many trials have a value."""
        return len(self.values)

    @property
    def planned(self) -> int:
        """How many trials the preset asks for."""
        return len(self.cell.evaluations)

    @property
    def measured(self) -> float | None:
        """Median over the trials."""
        return statistics.median(v for _, v in self.values) if self.values else None

    @property
    def spread(self) -> float | None:
        """Largest minus smallest trial; one trial has no spread."""
        numbers = [v for _, v in self.values]
        return max(numbers) - min(numbers) if len(numbers) > 1 else None

    @property
    def ends(self) -> tuple[float, float] | None:
        """The smallest and the largest trial; None unless there are two."""
        numbers = [v for _, v in self.values]
        return (min(numbers), max(numbers)) if len(numbers) > 1 else None

    @property
    def difference(self) -> float | None:
        """Measured minus published."""
        if self.measured is None or self.paper is None:
            return None
        return self.measured - self.paper


@dataclass(frozen=True)
class MeasuredTable:
    """A table of the paper with its cells by (row, column).

    `warning` is the preset's, where the numbers depend on what the preset trains.
    """

    name: str
    table: Table
    warning: str | None
    cells: Mapping[tuple[str, str], MeasuredCell]

    @property
    def published(self) -> bool:
        """Whether the paper has any of its numbers."""
        return any(row.paper for row in self.table.rows.values())

    @property
    def counts(self) -> dict[Status, int]:
        """How many cells have each status."""
        found = [cell.status for cell in self.cells.values()]
        return {status: found.count(status) for status in STATUSES}


def measure_tables(
    grid: Grid,
    metrics: pd.DataFrame,
    absent: Mapping[Evaluation | Cost, Absent] = MappingProxyType({}),
) -> list[MeasuredTable]:
    """Fill the preset's tables from the numbers of `metrics_frame`.

    Args:
        absent: why results are not there, where that is known.
    """
    values: dict[str, dict[str, float]] = {}
    for file, key, value in zip(metrics["file"], metrics["key"], metrics["value"], strict=True):
        values.setdefault(file, {})[key] = value
    tables = []
    for name, table in grid.tables.items():
        cells = {
            (cell.row, cell.column): _measure(
                cell, table, values, absent, warning=grid.preset.warning
            )
            for cell in grid.cells
            if cell.table == name
        }
        exact = all(column.is_exact for column in table.columns.values())
        tables.append(MeasuredTable(name, table, None if exact else grid.preset.warning, cells))
    return tables


def judge(
    numbers: Sequence[float],
    *,
    planned: int,
    paper: float | None,
    tolerance: float | None,
    claims: bool,
    why_none: str = "",
) -> tuple[Status, str]:
    """Return the verdict on one cell, and the reason wherever there is none.

    Args:
        numbers: the trials' values.
        planned: how many trials the preset asks for.
        paper: the published number, if there is one.
        tolerance: how far the median may lie from it; None: unknown.
        claims: whether the preset's numbers mean anything.
        why_none: the reason if there is no tolerance.
    """
    if not numbers:
        return "missing", "not run yet"
    # A median of some of the trials could still move, so it is shown but not judged.
    if len(numbers) < planned:
        return "no-claim", f"{len(numbers)} of {planned} trials measured"
    if not claims:
        return "no-claim", "this preset gives no verdicts"
    if paper is None:
        return "no-claim", "the paper has no number here"
    if tolerance is None:
        return "no-claim", why_none
    within = abs(statistics.median(numbers) - paper) <= tolerance + _EDGE
    return ("reproduced" if within else "deviates"), ""


def _measure(
    cell: Cell,
    table: Table,
    values: Mapping[str, Mapping[str, float]],
    absent: Mapping[Evaluation | Cost, Absent],
    *,
    warning: str | None,
) -> MeasuredCell:
    row, column = table.rows[cell.row], table.columns[cell.column]
    key = column.value
    there = [(e, values[e.path]) for e in cell.evaluations if e.path in values]
    # The metric has the key, or the table would have been refused: other code wrote the file.
    older = [e for e, keys in there if key not in keys]
    there = [(e, keys) for e, keys in there if key in keys]
    numbers = [(e, float(keys[key])) for e, keys in there]
    valid = tuple((e, number) for e, number in numbers if not math.isnan(number))
    status, reason = judge(
        [number for _, number in valid],
        planned=len(cell.evaluations),
        paper=row.paper.get(cell.column),
        tolerance=_tolerance(column, row.paper.get(cell.column)),
        claims=warning is None or column.is_exact,
        why_none=column.tolerance_source,
    )
    if not cell.can_run:
        status, reason = "no-claim", cell.not_run_because
    elif not cell.evaluations:
        reason = cell.not_run_because
    elif older:
        what = "count" if isinstance(older[0], Cost) else "evaluate"
        reason = f"{older[0].path} is older than {key} and lacks it; {what} again"
    elif there and not valid:
        reason = "evaluated, but there was nothing to score"
    elif len(there) < len(cell.evaluations):
        reason = _why_not_all(cell, {e for e, _ in there}, absent, reason)
    return MeasuredCell(cell, row, column, valid, status, reason)


def _why_not_all(
    cell: Cell,
    there: set[Evaluation | Cost],
    absent: Mapping[Evaluation | Cost, Absent],
    verdict: str,
) -> str:
    """Return why trials are not there: for the first of them, which mostly speaks for all."""
    known = [(e, absent[e]) for e in cell.evaluations if e not in there and e in absent]
    if not known:
        return verdict
    # A failure tells more than a trial whose turn has not come.
    first, why = max(known, key=lambda item: (item[1].failed, item[1].log is not None))
    told = why.reason
    if why.log and len(cell.evaluations) > 1 and isinstance(first, Evaluation):
        told = f"trial {first.prediction.training.trial}: {told}"
    return f"{verdict}; {told}" if there else told


def _tolerance(column: Column, paper: float | None) -> float | None:
    """Return how far the median may lie from the paper's number; None if that is unknown."""
    if column.tolerance != "rounding":
        return column.tolerance
    # 34 stands for anything from 33.5 to 34.5, 0.9 for anything from 0.85 to 0.95.
    decimals = 0 if isinstance(paper, int) else len(str(paper).partition(".")[2])
    return 0.5 * 10.0**-decimals
