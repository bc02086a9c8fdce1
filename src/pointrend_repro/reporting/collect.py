"""Metric files to `metrics.csv`: one tidy row a number, each with the way back to its origin.

Commands are long and the same for all numbers of a metric file, so they lie beside it, in
`origins.csv`, once for each file; `file` is what both have.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointrend_repro.base.files import write_text
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import (
    COLLECTED_FILE,
    METRICS_FILE,
    ORIGINS_FILE,
    Cost,
    Evaluation,
)
from pointrend_repro.reporting.csv_text import to_csv
from pointrend_repro.reporting.results import Result, load_results

if TYPE_CHECKING:
    import pandas as pd  # to import it takes longer than to collect a thousand files

_log = logging.getLogger(__name__)

PERCENT = "%"  # every official tool's value is written in percent

# `settings_digest` to `started` tell of the training, which is what decides a number, or of the
# count where nothing is trained. All records are in `file`, relative to the folder of metrics.csv;
# `state` says whether the value is what they describe (`states.State`).
COLUMNS = {
    "preset": "string",
    "dataset": "string",
    "variant": "string",
    "trial": "Int64",
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
    "file": "string",
    "state": "string",
}
# Those of origins.csv: the metric file, and what was typed for each step that led to it.
ORIGIN_COLUMNS = ("file", "train_command", "predict_command", "evaluate_command")


def metrics_frame(results: Mapping[Evaluation | Cost, Result]) -> "pd.DataFrame":
    """Return one row for each number in the metric files that are there, sorted.

    Returns:
        A frame with the columns `COLUMNS`: values in `unit`, wall time in seconds, memory in MB.
        A metric that had nothing to score has an empty value.
    """
    import pandas as pd

    return pd.DataFrame(_rows(results), columns=list(COLUMNS)).astype(COLUMNS)


def write_metrics(grid: Grid, results_dir: Path) -> None:
    """Write `metrics.csv` and `origins.csv` into `results_dir`, from the metric files below it.

    The pipeline's mark that all are there is taken away: its own rule sets it again, and after a
    call by hand the next run looks for what is missing.
    """
    results = load_results(grid, results_dir)
    for source, result in results.items():
        if result.altered:
            _log.warning("%s: %s", results_dir / source.path, result.altered)
    (results_dir / COLLECTED_FILE).unlink(missing_ok=True)
    write_text(results_dir / ORIGINS_FILE, origins_csv(results))
    write_text(results_dir / METRICS_FILE, metrics_csv(results))


def metrics_csv(results: Mapping[Evaluation | Cost, Result]) -> str:
    """Return the text of `metrics.csv`, the rows of `metrics_frame`, in full precision."""
    return to_csv(list(COLUMNS), _rows(results))


def origins_csv(results: Mapping[Evaluation | Cost, Result]) -> str:
    """Return the text of `origins.csv`: one row a metric file, with the commands that made it."""
    return to_csv(ORIGIN_COLUMNS, [_commands(*item) for item in _sorted(results)])


def _rows(results: Mapping[Evaluation | Cost, Result]) -> list[dict[str, Any]]:
    return [
        _row(evaluation, result, key)
        for evaluation, result in _sorted(results)
        for key in sorted(result.values)
    ]


def _sorted(
    results: Mapping[Evaluation | Cost, Result],
) -> list[tuple[Evaluation | Cost, Result]]:
    return sorted(results.items(), key=lambda item: item[0].path)


def _commands(evaluation: Evaluation | Cost, result: Result) -> dict[str, Any]:
    steps = result.origin.steps
    return {"file": evaluation.path} | {f"{step}_command": r.command for step, r in steps.items()}


def _row(evaluation: Evaluation | Cost, result: Result, key: str) -> dict[str, Any]:
    origin = result.origin
    main = origin.train or origin.predict or origin.evaluate
    return {
        "preset": origin.preset,
        "dataset": origin.dataset,
        "variant": origin.variant,
        "trial": origin.trial,
        "inference": origin.inference,
        "metric": result.metric,
        "key": key,
        "value": result.values[key],
        "unit": result.units.get(key, PERCENT),
        "seed": main.seed,
        "settings_digest": main.settings_digest,
        "git_commit": main.git_commit,
        "code_digest": main.code_digest,
        "torch": main.versions.get("torch"),
        "device": main.device,
        "started": main.started,
        "train_wall_s": origin.train and origin.train.wall_s,
        "train_peak_memory_mb": origin.train and origin.train.peak_memory_mb,
        "file": evaluation.path,
        "state": result.state,
    }
