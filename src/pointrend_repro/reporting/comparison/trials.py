"""The trials of two results, which need not be those that their preset asks for today.

Seeds 3 to 5 of `--set trials.coco=3..5` are results of the preset like any others.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pandas as pd

from pointrend_repro.config.variants import is_trained
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cell, Evaluation


def with_trials_of(grid: Grid, frames: Iterable[pd.DataFrame]) -> Grid:
    """Return the grid with the trials that any of some frames of `metrics_frame` has.

    Cells on data sets of which no frame has a trial stay as they are.
    """
    found: dict[str, set[int]] = {}
    for metrics in frames:
        for dataset, trial in metrics[["dataset", "trial"]].dropna().itertuples(index=False):
            found.setdefault(dataset, set()).add(int(trial))
    return replace(grid, cells=tuple(_with_trials(grid, cell, found) for cell in grid.cells))


def _with_trials(grid: Grid, cell: Cell, found: Mapping[str, Iterable[int]]) -> Cell:
    first = next(iter(cell.evaluations), None)
    if not isinstance(first, Evaluation):
        return cell
    training = first.prediction.training
    # What is not trained has no seed, whatever the other rows have.
    if training.dataset not in found or not is_trained(grid.variants[training.variant]):
        return cell
    trials = sorted(found[training.dataset])
    return replace(cell, evaluations=tuple(_of_trial(first, trial) for trial in trials))


def _of_trial(evaluation: Evaluation, trial: int) -> Evaluation:
    prediction = evaluation.prediction
    of_trial = replace(
        prediction,
        training=replace(prediction.training, trial=trial),
        others=tuple(replace(other, trial=trial) for other in prediction.others),
    )
    return replace(evaluation, prediction=of_trial)
