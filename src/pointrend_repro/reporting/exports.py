"""A measured table as CSV for machines and as Markdown, and what a reader must know of it."""

import re

from pointrend_repro.config.tables import Column
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Evaluation
from pointrend_repro.reporting import csv_text
from pointrend_repro.reporting.best import NONE, RULE, best_cells
from pointrend_repro.reporting.formats import between, listed, number, printed
from pointrend_repro.reporting.markdown import escaped, escaped_line, table_row
from pointrend_repro.reporting.scale import scale_of
from pointrend_repro.reporting.tables import MeasuredCell, MeasuredTable
from pointrend_repro.reporting.zero_trials import zero_trials

CSV_COLUMNS = ("row", "column", "paper", "measured", "spread", "trials", "unit", "status")

_MEASURED = (
    "The measured number is the median over the trials; the smallest and the largest trial follow "
    "it."
)
_REPRODUCED = (
    "Reproduced: the median, before rounding, lies within the tolerance of the paper's number, "
    "and every trial is measured."
)


def to_csv(measured: MeasuredTable) -> str:
    """Return one line a cell, rounded to four decimals; what is not there is empty."""
    rows = [
        {
            "row": cell.row.title,
            "column": cell.column.title,
            "paper": cell.paper,
            "measured": _rounded(cell.measured),
            "spread": _rounded(cell.spread),
            "trials": cell.trials,
            "unit": cell.column.unit,
            "status": cell.status,
        }
        for cell in measured.cells.values()
    ]
    return csv_text.to_csv(CSV_COLUMNS, rows)


def to_markdown(grid: Grid, measured: MeasuredTable) -> str:
    """Return a page with the table, the preset's warning above it and its rules below it."""
    table = measured.table
    columns = [escaped(f"{c.title} [{c.unit}]") for c in table.columns.values()]
    lines = [f"# {escaped_line(table.title)}", ""]
    if measured.warning:
        lines += [f"> **{escaped_line(measured.warning)}**", ""]
    lines += [escaped_line(table.caption), "", table_row(["", *columns])]
    lines.append(table_row(["---", *["---:" for _ in columns]]))
    best = best_of_own(measured)
    for row_name, row in table.rows.items():
        cells = [
            _markdown_cell(measured.cells[row_name, name])
            if measured.published
            else _own_cell(measured.cells[row_name, name], is_best=(row_name, name) in best)
            for name in table.columns
        ]
        lines.append(table_row([escaped(row.title), *cells]))
    lines += ["", *(f"- {escaped_line(note)}" for note in notes(grid, measured))]
    return "\n".join(lines) + "\n"


def notes(grid: Grid, measured: MeasuredTable) -> list[str]:
    """Return what a reader of the table alone must know to judge its numbers."""
    source, *rest = own_notes(grid, measured)
    columns = measured.table.columns.values()
    rules = [_MEASURED] if any(column.dataset for column in columns) else []
    rules += [_REPRODUCED] if _judged(grid, measured) else []
    printed = [
        f"Printed, not measured: {row.title} ({row.numbers_of})."
        for row in measured.table.rows.values()
        if row.runs is None
    ]
    return [source, *rules, *printed, *rest]


def best_of_own(measured: MeasuredTable) -> set[tuple[str, str]]:
    """Return the cells to mark as best; none where there are published numbers to compare with."""
    return set() if measured.published or measured.warning else best_cells(measured)


def own_notes(grid: Grid, measured: MeasuredTable) -> list[str]:
    """Return what is of this table alone: its source, data, failed trials and tolerances."""
    columns = measured.table.columns.values()
    used = {c.dataset: grid.preset.datasets.get(c.dataset) for c in columns if c.dataset}
    data = [_data_text(grid, measured, wanted, name) for wanted, name in used.items()]
    lines = [f"Source: {measured.table.source}."]
    lines += [f"Data of preset {grid.name}: {'; '.join(data)}."] if data else []
    lines += zero_trials(measured)
    if not measured.published:
        return [*lines, *_own_rules(measured)]
    lines += _names_note(grid, measured)
    judged = _judged(grid, measured)
    lines += [f"Tolerance for {c.title}: {_tolerance_text(c)}." for c in judged]
    unjudged: dict[str, list[str]] = {}
    for column in columns:
        if column.tolerance is None:
            unjudged.setdefault(column.tolerance_source, []).append(column.title)
    return lines + [f"No verdict on {', '.join(c)}: {why}." for why, c in unjudged.items()]


def _data_text(grid: Grid, measured: MeasuredTable, wanted: str, name: str | None) -> str:
    """Say which data are used for a data set of a table; of a paper's, in whose place."""
    if name is None:
        return f"none for {wanted}"
    title = grid.datasets[name].title
    if name == wanted or not measured.published:
        return title
    table = measured.table
    texts = " ".join([table.title, table.caption, *(c.title for c in table.columns.values())])
    # As the table prints the name: COCO for coco.
    printed_name = re.search(rf"\b{re.escape(wanted)}\b", texts, re.IGNORECASE)
    return f"{title} (in place of {printed_name[0] if printed_name else wanted})"


def _names_note(grid: Grid, measured: MeasuredTable) -> list[str]:
    """Say that titles tell the paper's sizes where the models behind the numbers have others."""
    evaluations = [e for cell in measured.cells.values() for e in cell.cell.evaluations]
    predictions = {e.prediction for e in evaluations if isinstance(e, Evaluation)}
    trainings = {t for prediction in predictions for t in grid.models_of(prediction)}
    differing = scale_of(grid, trainings).differing
    if not differing:
        return []
    return [
        f"Rows, columns and caption keep the paper's names, but {listed(differing)} differ "
        "from the paper's: see Scale in the report's conditions."
    ]


def _own_rules(measured: MeasuredTable) -> list[str]:
    """Say of a table without published numbers what is marked in it."""
    if measured.warning or all(column.is_exact for column in measured.table.columns.values()):
        return []
    return [RULE if best_cells(measured) else NONE]


def _judged(grid: Grid, measured: MeasuredTable) -> list[Column]:
    """Return the columns that are judged by a tolerance: those in which the paper has a number."""
    published = {name for row in measured.table.rows.values() for name in row.paper}
    columns = measured.table.columns.items()
    judged = [c for name, c in columns if c.tolerance is not None and name in published]
    return [c for c in judged if grid.preset.warning is None or c.is_exact]


def _tolerance_text(column: Column) -> str:
    if column.tolerance == "rounding":
        return column.tolerance_source
    return f"{column.tolerance:g} {column.unit} ({column.tolerance_source})"


def _markdown_cell(cell: MeasuredCell) -> str:
    paper = "no number in the paper" if cell.paper is None else f"paper {printed(cell.paper)}"
    if not cell.cell.can_run:
        return "–" if cell.paper is None else f"{printed(cell.paper)} (printed)"
    if cell.measured is None:
        return f"missing: {escaped(cell.reason)} ({paper})"
    verdict = f"{cell.status}: {escaped(cell.reason)}" if cell.reason else cell.status
    ends = "" if cell.ends is None else f"trials {between(cell.ends)}, "
    changed = "; the data have changed since" if cell.data_changed else ""
    altered = f"; **{cell.altered}**" if cell.altered else ""
    return f"{number(cell.measured)} ({ends}{paper}) {verdict}{changed}{altered}"


def _own_cell(cell: MeasuredCell, *, is_best: bool) -> str:
    """One cell of a table without published numbers: there is nothing to compare it with."""
    if cell.measured is None:
        return f"missing: {escaped(cell.reason)}"
    ends = "" if cell.ends is None else f" (trials {between(cell.ends)})"
    partly = f" {escaped(cell.reason)}" if cell.trials < cell.planned else ""
    changed = "; the data have changed since" if cell.data_changed else ""
    altered = f"; **{cell.altered}**" if cell.altered else ""
    best = "**★** " if is_best else ""
    return f"{best}{number(cell.measured)}{ends}{partly}{changed}{altered}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
