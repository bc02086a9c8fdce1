"""Metric files with made-up numbers, which never leave a temporary folder."""

import json
from pathlib import Path
from typing import Any

from pointrend_repro.experiments import Evaluation, Grid


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


def only_table1(grid: Grid) -> Grid:
    """Later tables must not change what these tests count."""
    cells = tuple(cell for cell in grid.cells if cell.table == "table1")
    return Grid(
        grid.name,
        grid.preset,
        {"table1": grid.tables["table1"]},
        grid.datasets,
        grid.variants,
        cells,
    )
