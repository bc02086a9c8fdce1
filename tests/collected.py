"""The numbers below a preset's results as a table, which the report makes of what it has read."""

from pathlib import Path

import pandas as pd

from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.collect import metrics_frame
from pointrend_repro.reporting.results import load_results


def collect_metrics(grid: Grid, results_dir: Path) -> pd.DataFrame:
    """The frame of `metrics_frame` of all metric files in `results/<preset>`."""
    return metrics_frame(load_results(grid, results_dir))
