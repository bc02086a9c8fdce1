"""Metric files with made-up numbers, which never leave a temporary folder."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pointrend_repro.experiments import Cell, Evaluation, Grid


def make_record(**changes: Any) -> dict[str, Any]:
    record = {
        "command": "pointrend-repro train --preset smoke",
        "settings": {"lr": 0.02},
        "settings_digest": "123456789012",  # digits only: must not become a number
        "seed": 0,
        "device": "a device",
        "started": "2024-05-01T08:00:00+00:00",
        "wall_s": 90.5,
        "peak_memory_mb": 812.3,
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "code_digest": "12345e678901",  # would be infinite as a float
        "versions": {"python": "3.11.9", "torch": "2.11.0"},
    }
    return record | changes


def make_result(
    grid: Grid, evaluation: Evaluation, values: dict[str, Any], **changes: Any
) -> dict[str, Any]:
    """`changes` goes into the records of all three steps."""
    training = evaluation.prediction.training
    other = {"seed": None, "settings": {}}
    return {
        "metric": evaluation.metric,
        "values": values,
        "origin": {
            "preset": grid.name,
            "dataset": training.dataset,
            "variant": training.variant,
            "trial": training.trial,
            "inference": evaluation.prediction.inference,
            "train": make_record(**{"seed": training.trial} | changes),
            "predict": make_record(**other | {"command": "pointrend-repro predict"} | changes),
            "evaluate": make_record(**other | {"command": "pointrend-repro evaluate"} | changes),
        },
    }


def write_result(
    results_dir: Path, grid: Grid, evaluation: Evaluation, values: dict[str, Any], **changes: Any
) -> Path:
    path = results_dir / evaluation.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(make_result(grid, evaluation, values, **changes)))
    return path


# The rows that the paper prints; the pipeline's Table 1 has more.
PAPER_ROWS = ("4conv_28", "pointrend_28", "pointrend_224")


def only_table1(grid: Grid, trials: int) -> Grid:
    """The paper's Table 1 on COCO alone: later tables and rows must not change what is counted.

    Cityscapes is as in a preset that leaves it out.
    """
    table = grid.tables["table1"]
    table = table.model_copy(update={"rows": {name: table.rows[name] for name in PAPER_ROWS}})
    cells = tuple(
        _with_trials(cell, trials)
        if table.columns[cell.column].dataset == "coco"
        else replace(cell, evaluations=(), not_run_because="not part of this preset")
        for cell in grid.cells
        if cell.table == "table1" and cell.row in PAPER_ROWS
    )
    return replace(grid, tables={"table1": table}, cells=cells)


def _with_trials(cell: Cell, trials: int) -> Cell:
    first = cell.evaluations[0]
    assert isinstance(first, Evaluation)
    prediction, training = first.prediction, first.prediction.training
    return replace(
        cell,
        evaluations=tuple(
            replace(first, prediction=replace(prediction, training=replace(training, trial=k)))
            for k in range(trials)
        ),
    )
