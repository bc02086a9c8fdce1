"""`summary.json`: what the page shows, for machines; docs/report.md tells its keys."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Evaluation, page_paths
from pointrend_repro.reporting.conditions import Conditions
from pointrend_repro.reporting.tables import STATUSES, MeasuredCell, MeasuredTable

# Counts up when a key goes away or changes its meaning; new keys do not change it.
SCHEMA_VERSION = 1


def summarize(
    grid: Grid, tables: Sequence[MeasuredTable], conditions: Conditions
) -> dict[str, Any]:
    """Return the summary as JSON values, numbers in full precision."""
    return {
        "schema_version": SCHEMA_VERSION,
        "preset": {
            "name": grid.name,
            "title": grid.preset.title,
            "warning": grid.preset.warning,
        },
        "papers": {
            name: {"title": grid.papers[name].about.title, "page": path}
            for name, path in page_paths(list(grid.papers)).items()
        },
        "conditions": asdict(conditions),
        "counts": {status: sum(t.counts[status] for t in tables) for status in STATUSES},
        "tables": {table.name: _table(table, grid.table_papers[table.name]) for table in tables},
    }


def _table(measured: MeasuredTable, paper: str) -> dict[str, Any]:
    return {
        "paper": paper,
        "title": measured.table.title,
        "source": measured.table.source,
        "counts": measured.counts,
        "cells": [_cell(cell) for cell in measured.cells.values()],
    }


def _cell(cell: MeasuredCell) -> dict[str, Any]:
    row, column = cell.row, cell.column
    return {
        "row": cell.cell.row,
        "row_title": row.title,
        "column": cell.cell.column,
        "column_title": column.title,
        "variant": row.variant,
        "inference": row.inference,
        "dataset": column.dataset,
        "metric": column.metric,
        "value": column.value,
        "unit": column.unit,
        "paper": cell.paper,
        "measured": cell.measured,
        "spread": cell.spread,
        "tolerance": column.tolerance,
        "status": cell.status,
        "reason": cell.reason,
        "data_changed": cell.data_changed,
        "altered": cell.altered,
        "trials_planned": cell.planned,
        "trials": [
            {
                "trial": e.prediction.training.trial if isinstance(e, Evaluation) else None,
                "value": value,
                "file": e.path,
            }
            for e, value in cell.values
        ],
    }
