"""What differs between two results folders: cell by cell, number by number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from pointrend_repro.base.errors import UserError
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import METRICS_FILE
from pointrend_repro.reporting.comparison.origins import OriginFact, origin_facts
from pointrend_repro.reporting.comparison.reading import Side
from pointrend_repro.reporting.tables import MeasuredCell, measure_tables

Status = Literal["same", "differs", "no tolerance", "only A", "only B"]
STATUSES: tuple[Status, ...] = ("same", "differs", "no tolerance", "only A", "only B")

_KEY = ["dataset", "variant", "trial", "inference", "metric", "key"]
_EDGE = 1e-9  # as in `tables`: a difference that is the tolerance on paper is within it


@dataclass(frozen=True)
class ComparedCell:
    """One cell of a table, measured on one side at least. B minus A is the difference.

    Attributes:
        tolerance: up to which the medians count as the same; of a count, none at all. None: the
            table has none, and any difference is shown without a verdict.
    """

    table: str
    a: MeasuredCell
    b: MeasuredCell
    tolerance: float | None
    status: Status

    @property
    def difference(self) -> float | None:
        """The median of B minus that of A."""
        if self.a.measured is None or self.b.measured is None:
            return None
        return self.b.measured - self.a.measured


@dataclass(frozen=True)
class Numbers:
    """How many numbers of metrics.csv, of all trials and keys, are in both and equal to the bit."""

    identical: int
    different: int
    only_a: int
    only_b: int


@dataclass(frozen=True)
class Comparison:
    """Two results folders side by side.

    Attributes:
        warning: the preset's, if its numbers mean nothing.
        left_out: metric files of either side that are in no cell, so that nothing is said of them.
    """

    preset: str
    warning: str | None
    sides: tuple[Side, Side]
    titles: dict[str, str]
    cells: tuple[ComparedCell, ...]
    numbers: Numbers
    facts: tuple[OriginFact, ...]
    left_out: tuple[str, ...] = ()

    def count(self, status: Status) -> int:
        """How many cells have a status."""
        return sum(cell.status == status for cell in self.cells)

    @property
    def agrees(self) -> bool:
        """Whether each number's cell is on both sides, and the same where it has a tolerance."""
        return not self.left_out and all(
            cell.status in ("same", "no tolerance") for cell in self.cells
        )


def compare(grid: Grid, a: Side, b: Side) -> Comparison:
    """Set two sides against each other.

    Raises:
        UserError: neither has a number that is in a cell of the preset's tables.
    """
    cells = [
        _compare(table.name, cell, other.cells[key])
        for table, other in zip(
            measure_tables(grid, a.metrics), measure_tables(grid, b.metrics), strict=True
        )
        for key, cell in table.cells.items()
        if cell.values or other.cells[key].values
    ]
    if not cells:
        raise UserError(
            f"{a.folder} and {b.folder}: no number of theirs is of a cell of preset {grid.name}'s "
            f"tables; collect the metrics again, and leave column `file` of {METRICS_FILE} as it is"
        )
    return Comparison(
        preset=grid.name,
        warning=grid.preset.warning,
        sides=(a, b),
        titles={name: table.title for name, table in grid.tables.items()},
        cells=tuple(cells),
        numbers=count_numbers(a.metrics, b.metrics),
        facts=tuple(origin_facts(a, b)),
        left_out=tuple(sorted(_files(a, b) - {e.path for c in grid.cells for e in c.evaluations})),
    )


def _files(*sides: Side) -> set[str]:
    return {file for side in sides for file in side.metrics["file"].dropna()}


def count_numbers(a: pd.DataFrame, b: pd.DataFrame) -> Numbers:
    """Count the numbers of two `metrics.csv` by whether they are the same."""
    both = a[[*_KEY, "value"]].merge(b[[*_KEY, "value"]], on=_KEY, how="outer", indicator=True)
    there = both[both["_merge"] == "both"]
    left, right = there["value_x"], there["value_y"]
    same = int(((left == right) | (left.isna() & right.isna())).sum())
    return Numbers(
        identical=same,
        different=len(there) - same,
        only_a=int((both["_merge"] == "left_only").sum()),
        only_b=int((both["_merge"] == "right_only").sum()),
    )


def _compare(table: str, a: MeasuredCell, b: MeasuredCell) -> ComparedCell:
    found = a.column.tolerance
    tolerance = 0.0 if found == "rounding" else found
    if a.measured is None or b.measured is None:
        return ComparedCell(table, a, b, tolerance, "only B" if a.measured is None else "only A")
    if tolerance is None:
        return ComparedCell(table, a, b, tolerance, "no tolerance")
    same = abs(b.measured - a.measured) <= tolerance + _EDGE
    return ComparedCell(table, a, b, tolerance, "same" if same else "differs")


def tables_of(cells: Sequence[ComparedCell]) -> dict[str, list[ComparedCell]]:
    """Return cells by their table, in order."""
    found: dict[str, list[ComparedCell]] = {}
    for cell in cells:
        found.setdefault(cell.table, []).append(cell)
    return found
