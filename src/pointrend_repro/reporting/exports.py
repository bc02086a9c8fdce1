"""A measured table as CSV for machines and as Markdown, and what a reader must know of it."""

import re

from pointrend_repro.base.texts import visible
from pointrend_repro.config.tables import Column
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting import csv_text
from pointrend_repro.reporting.formats import number
from pointrend_repro.reporting.tables import MeasuredCell, MeasuredTable

CSV_COLUMNS = ("row", "column", "paper", "measured", "spread", "trials", "unit", "status")

_MEASURED = (
    "The measured number is the median over the trials; the spread (after ±) is the largest minus "
    "the smallest trial."
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
    columns = [_markdown_text(column.title) for column in table.columns.values()]
    lines = [f"# {_markdown_text(table.title)}", ""]
    if measured.warning:
        lines += [f"> **{_markdown_text(measured.warning)}**", ""]
    lines += [_markdown_text(table.caption), "", _pipes(["", *columns])]
    lines.append(_pipes(["---", *["---:" for _ in columns]]))
    for row_name, row in table.rows.items():
        cells = [_markdown_cell(measured.cells[row_name, name]) for name in table.columns]
        lines.append(_pipes([_markdown_text(row.title), *cells]))
    lines += ["", *(f"- {_markdown_text(note)}" for note in notes(grid, measured))]
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


def own_notes(grid: Grid, measured: MeasuredTable) -> list[str]:
    """Return what is of this table alone: its source, data and tolerances."""
    columns = measured.table.columns.values()
    used = {c.dataset: grid.preset.datasets.get(c.dataset) for c in columns if c.dataset}
    data = [
        f"{wanted} is {grid.datasets[name].title}" if name else f"{wanted} is not part of it"
        for wanted, name in used.items()
    ]
    lines = [f"Source: {measured.table.source}."]
    lines += [f"Preset {grid.name}: {'; '.join(data)}."] if data else []
    judged = _judged(grid, measured)
    lines += [f"Tolerance for {c.title}: {_tolerance_text(c)}." for c in judged]
    unjudged: dict[str, list[str]] = {}
    for column in columns:
        if column.tolerance is None:
            unjudged.setdefault(column.tolerance_source, []).append(column.title)
    return lines + [f"No verdict on {', '.join(c)}: {why}." for why, c in unjudged.items()]


def _judged(grid: Grid, measured: MeasuredTable) -> list[Column]:
    columns = measured.table.columns.values()
    judged = [c for c in columns if c.tolerance is not None]
    return [c for c in judged if grid.preset.warning is None or c.is_exact]


def _tolerance_text(column: Column) -> str:
    if column.tolerance == "rounding":
        return column.tolerance_source
    return f"{column.tolerance:g} {column.unit} ({column.tolerance_source})"


def _markdown_cell(cell: MeasuredCell) -> str:
    paper = "no number in the paper" if cell.paper is None else f"paper {number(cell.paper)}"
    if not cell.cell.can_run:
        return "–" if cell.paper is None else f"{number(cell.paper)} (printed)"
    if cell.measured is None:
        return f"missing: {_markdown_text(cell.reason)} ({paper})"
    verdict = f"{cell.status}: {_markdown_text(cell.reason)}" if cell.reason else cell.status
    spread = "" if cell.spread is None else f" ± {number(cell.spread)}"
    changed = "; the data have changed since" if cell.data_changed else ""
    altered = f"; **{cell.altered}**" if cell.altered else ""
    return f"{number(cell.measured)}{spread} ({paper}) {verdict}{changed}{altered}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _pipes(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#&~$])", r"\\\1", " ".join(visible(text).split()))
