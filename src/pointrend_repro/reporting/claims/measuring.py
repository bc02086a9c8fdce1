"""What there is of the cells of a claim: the numbers of their trials, and those on resamples."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.config.tables import Table
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cell, Cost, Evaluation, Training
from pointrend_repro.reporting.behind import records_behind
from pointrend_repro.reporting.claims.cells import JudgedCell, judged_cell
from pointrend_repro.reporting.claims.contrasts import CellName
from pointrend_repro.reporting.results import Result, Results

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """What there is of one cell.

    Attributes:
        trainings: data set and variant of each training that it rests on, those included whose
            weights or boxes another one begins with; none where nothing is trained.
        data: data set, part and fingerprint of what was trained on, predicted and scored.
        numbers: of each trial.
        resampled: the same on resampled images (trials, resamples), nan where there is nothing to
            score; None if a trial lacks it, or was resampled otherwise than the others.
        images: how many were resampled, in the trial with the fewest; None if none were.
    """

    trainings: frozenset[tuple[str, str]]
    data: frozenset[tuple[str, str, str]]
    numbers: tuple[float, ...]
    resampled: Values | None
    images: int | None
    judged: JudgedCell


def measure(
    grid: Grid, cell: Cell | None, table: Table, name: CellName, results: Results
) -> Measured:
    """Look up a cell of a table in the results; `cell` is None if the preset does not have it."""
    judged = judged_cell(cell, table, name, results)
    found = [
        source for source in (cell.evaluations if cell else ()) if source.path in judged.trials
    ]
    of_trials = [results[source] for source in found]
    return Measured(
        trainings=_trainings(grid, found),
        data=frozenset(_data(of_trials)),
        numbers=tuple(judged.trials.values()),
        resampled=_resampled(of_trials, judged.key),
        images=min((r.resampled.images for r in of_trials if r.resampled), default=None),
        judged=judged,
    )


def _trainings(grid: Grid, sources: Iterable[Evaluation | Cost]) -> frozenset[tuple[str, str]]:
    predictions = [source.prediction for source in sources if isinstance(source, Evaluation)]
    steps = {step for prediction in predictions for step in grid.before(prediction)}
    return frozenset((s.dataset, s.variant) for s in steps if isinstance(s, Training))


def _data(results: Iterable[Result]) -> Iterator[tuple[str, str, str]]:
    for result in results:
        for dataset, record in records_behind(result.origin):
            for read in record.data_read:
                yield dataset, read.part, read.fingerprint


def _resampled(results: Sequence[Result], key: str) -> Values | None:
    samples = [result.resampled for result in results]
    plans = {(s.resamples, s.seed) for s in samples if s and key in s.values}
    if None in samples or len(plans) != 1:
        return None
    rows = [[np.nan if v is None else v for v in s.values.get(key, ())] for s in samples if s]
    return np.array(rows) if len({len(row) for row in rows}) == 1 else None
