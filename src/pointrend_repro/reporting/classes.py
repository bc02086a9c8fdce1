"""AP of each class, of all rows of a table about one's own data."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from pointrend_repro.config.tables import Column
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.experiments.nodes import Evaluation
from pointrend_repro.reporting.results import Results
from pointrend_repro.reporting.tables import MeasuredTable


@dataclass(frozen=True)
class ClassRow:
    """One class: for each row of the table the values of its trials; none if nothing is known."""

    name: str
    values: tuple[tuple[float, ...], ...]

    @property
    def medians(self) -> list[float | None]:
        """Over the trials."""
        return [statistics.median(values) if values else None for values in self.values]


@dataclass(frozen=True)
class ClassTable:
    """AP by class, or another metric's first value; worst first.

    Attributes:
        titles: of the rows of the table, which are columns here.
        altered: why the numbers of each of them are no longer as they were made; empty if they are.
    """

    name: str
    title: str
    unit: str
    titles: tuple[str, ...]
    altered: tuple[str, ...]
    classes: tuple[ClassRow, ...]


def lay_out_classes(measured: MeasuredTable, results: Results) -> list[ClassTable]:
    """Return a table for each column whose metric files tell of classes, by its first value.

    Rows without such a file, and columns without any, are left out.
    """
    found, seen = [], set()
    for name, column in measured.table.columns.items():
        by_row = {row: _of_row(measured, row, name, results) for row in measured.table.rows}
        by_row = {row: values for row, values in by_row.items() if values}
        if not by_row or (column.metric, column.dataset) in seen:
            continue
        seen.add((column.metric, column.dataset))
        metric = METRICS.find(column.metric)
        key, unit = next(iter(metric.keys.items()))
        classes = dict.fromkeys(each for values in by_row.values() for each in values)
        rows = [ClassRow(each, tuple(v.get(each, ()) for v in by_row.values())) for each in classes]
        found.append(
            ClassTable(
                name=f"classes-{name}",
                title=_title(measured, column, key),
                unit=unit,
                titles=tuple(measured.table.rows[row].title for row in by_row),
                altered=tuple(measured.cells[row, name].altered for row in by_row),
                classes=_sorted(rows, lower_is_better=key in metric.lower_is_better),
            )
        )
    return found


def _title(measured: MeasuredTable, column: Column, key: str) -> str:
    """Return what a metric's first value is called in the table, or by its tool if it is not there.

    The first column of a metric may be of another value, such as AP50.
    """
    same = (column.metric, column.dataset, key)
    columns = measured.table.columns.values()
    return next((c.title for c in columns if (c.metric, c.dataset, c.value) == same), key)


def _of_row(
    measured: MeasuredTable, row: str, column: str, results: Results
) -> Mapping[str, tuple[float, ...]]:
    values: dict[str, list[float]] = {}
    for source, _ in measured.cells[row, column].values:
        if isinstance(source, Evaluation):
            for key, value in results[source].by_class.items():
                values.setdefault(key, []).extend([] if value is None else [value])
    return {key: tuple(numbers) for key, numbers in values.items()}


def _sorted(rows: list[ClassRow], *, lower_is_better: bool) -> tuple[ClassRow, ...]:
    """The worst first, by the best of the models; classes without an object last."""
    sign = -1 if lower_is_better else 1

    def best(row: ClassRow) -> tuple[bool, float, str]:
        known = [sign * median for median in row.medians if median is not None]
        return not known, max(known, default=0.0), row.name

    return tuple(sorted(rows, key=best))
