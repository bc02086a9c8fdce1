"""AP of each class, of all rows of a table about one's own data."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

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
    """AP by class, worst first. `titles` are those of the rows of the table, as columns here."""

    name: str
    title: str
    titles: tuple[str, ...]
    classes: tuple[ClassRow, ...]


def lay_out_classes(measured: MeasuredTable, results: Results) -> list[ClassTable]:
    """Return a table for each column whose metric files tell of classes, by its first value.

    Rows without such a file, and columns without any, are left out.
    """
    found, seen = [], set()
    for name, column in measured.table.columns.items():
        by_row = {row: _of_row(measured, row, name, results) for row in measured.table.rows}
        by_row = {row: values for row, values in by_row.items() if values}
        if not by_row or column.metric in seen:
            continue
        seen.add(column.metric)
        classes = dict.fromkeys(key for values in by_row.values() for key in values)
        rows = [ClassRow(key, tuple(v.get(key, ()) for v in by_row.values())) for key in classes]
        titles = tuple(measured.table.rows[row].title for row in by_row)
        found.append(ClassTable(f"classes-{name}", column.title, titles, _sorted(rows)))
    return found


def _of_row(
    measured: MeasuredTable, row: str, column: str, results: Results
) -> Mapping[str, tuple[float, ...]]:
    values: dict[str, list[float]] = {}
    for source, _ in measured.cells[row, column].values:
        if isinstance(source, Evaluation):
            for key, value in results[source].by_class.items():
                values.setdefault(key, []).extend([] if value is None else [value])
    return {key: tuple(numbers) for key, numbers in values.items()}


def _sorted(rows: list[ClassRow]) -> tuple[ClassRow, ...]:
    """The worst first, by the best of the models; classes without an object last."""

    def best(row: ClassRow) -> tuple[bool, float, str]:
        known = [median for median in row.medians if median is not None]
        return not known, max(known, default=0.0), row.name

    return tuple(sorted(rows, key=best))
