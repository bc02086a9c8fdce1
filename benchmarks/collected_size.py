"""How large metrics.csv is for many trials, with the commands in it and beside it.

    python -m benchmarks.collected_size 2000 --output FILE

Made-up metric files, two for each trial, are collected. `in every row` is the same table with the
three commands of origins.csv joined to each row, as it was before that file; nothing is estimated.
"""

import argparse
import csv
import io
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.scaling.made_up import write_metrics as write_made_up
from pointrend_repro.base.files import write_json
from pointrend_repro.base.provenance import git_commit, peak_memory_mb
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import METRICS_FILE, ORIGINS_FILE, Evaluation
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.csv_text import to_csv

METRICS = ("coco_ap", "boundary_ap")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trials", type=int)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        told = measured(with_trials(load_grid("paper"), options.trials), Path(name))
    print(told)
    if options.output:
        write_json(options.output, {"trials": options.trials, **told, "git_commit": git_commit()})


def with_trials(grid: Grid, trials: int) -> Grid:
    """The grid with one cell, of many trials and both metrics."""
    cell = next(
        cell
        for cell in grid.cells
        if cell.evaluations and getattr(cell.evaluations[0], "metric", None) == METRICS[0]
    )
    first = cell.evaluations[0]
    assert isinstance(first, Evaluation)
    training = first.prediction.training
    predictions = [
        replace(first.prediction, training=replace(training, trial=trial))
        for trial in range(trials)
    ]
    evaluations = tuple(Evaluation(p, metric) for p in predictions for metric in METRICS)
    return replace(grid, cells=(replace(cell, evaluations=evaluations),))


def measured(grid: Grid, folder: Path) -> dict[str, Any]:
    """Write and collect a grid's metric files, and return what is written and what it took."""
    write_made_up(grid, folder)
    start = time.process_time()
    write_metrics(grid, folder)
    seconds = time.process_time() - start
    peak = peak_memory_mb()
    metrics, origins = ((folder / name).read_text() for name in (METRICS_FILE, ORIGINS_FILE))
    return {
        "metric_files": len(grid.evaluations),
        "rows": metrics.count("\n") - 1,
        "metrics_csv_mb": _mb(metrics),
        "origins_csv_mb": _mb(origins),
        "in_every_row_mb": _mb(_joined(metrics, origins)),
        "cpu_seconds": round(seconds, 1),
        "peak_mb": round(peak),
    }


def _joined(metrics: str, origins: str) -> str:
    commands = {row["file"]: row for row in csv.DictReader(io.StringIO(origins))}
    rows = [commands[row["file"]] | row for row in csv.DictReader(io.StringIO(metrics))]
    return to_csv(list(rows[0]), rows)


def _mb(text: str) -> float:
    return round(len(text.encode()) / 1e6, 1)


if __name__ == "__main__":
    main()
