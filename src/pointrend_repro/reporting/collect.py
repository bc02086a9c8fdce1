"""Metric files to `metrics.csv`: one tidy row a number, each with the way back to its origin."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pointrend_repro.experiments import Evaluation, Grid
from pointrend_repro.files import write_text
from pointrend_repro.reporting.results import Result, load_results

METRICS_FILE = "metrics.csv"
UNIT = "%"  # every official tool's value is written in percent

# `settings_digest` to `train_command` tell of the training: it is what decides a number. The
# records of all three steps are in `file`, relative to the folder that holds metrics.csv.
COLUMNS = {
    "preset": "string",
    "dataset": "string",
    "variant": "string",
    "trial": "int64",
    "inference": "string",
    "metric": "string",
    "key": "string",
    "value": "float64",
    "unit": "string",
    "seed": "Int64",
    "settings_digest": "string",
    "git_commit": "string",
    "code_digest": "string",
    "torch": "string",
    "device": "string",
    "started": "string",
    "train_wall_s": "float64",
    "train_peak_memory_mb": "float64",
    "train_command": "string",
    "predict_command": "string",
    "evaluate_command": "string",
    "file": "string",
}


def collect_metrics(grid: Grid, results_dir: Path) -> pd.DataFrame:
    """Return one row for each number in the metric files that are there, sorted.

    Args:
        results_dir: the preset's folder, `results/<preset>`.

    Returns:
        A frame with the columns `COLUMNS`: values in `unit`, wall time in seconds, memory in MB.
        A metric that had nothing to score has an empty value.

    Raises:
        UserError: a metric file is damaged.
    """
    return metrics_frame(load_results(grid, results_dir))


def metrics_frame(results: Mapping[Evaluation, Result]) -> pd.DataFrame:
    """Return the frame of `collect_metrics` for results that are already read."""
    rows = [
        _row(evaluation, result, key)
        for evaluation, result in sorted(results.items(), key=lambda item: item[0])
        for key in sorted(result.values)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def write_metrics(grid: Grid, results_dir: Path) -> None:
    """Write `metrics.csv` into `results_dir`, from the metric files below it."""
    write_text(results_dir / METRICS_FILE, metrics_csv(collect_metrics(grid, results_dir)))


def metrics_csv(metrics: pd.DataFrame) -> str:
    """Return the text of `metrics.csv`, numbers in full precision."""
    return metrics.to_csv(index=False, lineterminator="\n")


def _row(evaluation: Evaluation, result: Result, key: str) -> dict[str, Any]:
    origin, train = result.origin, result.origin.train
    return {
        "preset": origin.preset,
        "dataset": origin.dataset,
        "variant": origin.variant,
        "trial": origin.trial,
        "inference": origin.inference,
        "metric": result.metric,
        "key": key,
        "value": result.values[key],
        "unit": UNIT,
        "seed": train.seed,
        "settings_digest": train.settings_digest,
        "git_commit": train.git_commit,
        "code_digest": train.code_digest,
        "torch": train.versions.get("torch"),
        "device": train.device,
        "started": train.started,
        "train_wall_s": train.wall_s,
        "train_peak_memory_mb": train.peak_memory_mb,
        "train_command": train.command,
        "predict_command": origin.predict.command,
        "evaluate_command": origin.evaluate.command,
        "file": evaluation.path,
    }
