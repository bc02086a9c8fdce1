"""Metric files for every cell of a preset, with made-up resampled values; never in a report."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from made_up_metrics import make_record, make_result

from pointrend_repro.base.files import write_json
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cost, Evaluation

IMAGES_SD, OWN_SD = 0.5, 0.12  # of a metric over images: what all models share, and their own


def fill_claims(
    results_dir: Path,
    grid: Grid,
    *,
    trial_sd: float = 0.1,
    resamples: int = 200,
    change: dict[tuple[str, str, str], float] | None = None,
) -> None:
    """Write the paper's own numbers with an error of each training; `change` adds to some cells."""
    for evaluation, values in _numbers(grid, change or {}).items():
        if isinstance(evaluation, Cost):
            write_cost(results_dir, grid, evaluation, values)
            continue
        training = evaluation.prediction.training
        name = f"{training.dataset} {training.variant} {training.trial}"
        error = trial_sd * _rng(name).normal()
        numbers = {key: value + error for key, value in values.items()}
        result: dict[str, Any] = make_result(grid, evaluation, numbers)
        if resamples:
            shared = IMAGES_SD * _rng(training.dataset).normal(size=resamples)
            own = {k: OWN_SD * _rng(evaluation.path + k).normal(size=resamples) for k in numbers}
            result["resampled"] = {
                "resamples": resamples,
                "seed": 0,
                "images": 500,
                "values": {key: (v + shared + own[key]).tolist() for key, v in numbers.items()},
            }
        write_json(results_dir / evaluation.path, result)


def _numbers(
    grid: Grid, change: dict[tuple[str, str, str], float]
) -> dict[Evaluation | Cost, dict[str, float]]:
    found: dict[Evaluation | Cost, dict[str, float]] = {}
    for cell in grid.cells:
        table = grid.tables[cell.table]
        column, paper = table.columns[cell.column], table.rows[cell.row].paper
        value = paper.get(cell.column, 30.0) + change.get((cell.table, cell.row, cell.column), 0)
        for evaluation in cell.evaluations:
            found.setdefault(evaluation, {})[column.value] = float(value)
    return found


def write_cost(results_dir: Path, grid: Grid, cost: Cost, values: dict[str, float]) -> None:
    origin = {"preset": grid.name, "variant": cost.variant, "inference": cost.inference}
    content = {
        "metric": "mask_head_cost",
        "values": values,
        "units": METRICS.find("mask_head_cost").keys,
        "origin": origin | {"evaluate": make_record(seed=None)},
    }
    write_json(results_dir / cost.path, content)


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))
