"""Every file of a preset's results against its record: what no step would look at any more, too.

A model whose scores are there is not read again by the pipeline, and not made again if it is gone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.origins import Maker, origin_path, require_as_recorded
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cost, Evaluation, Prediction, Training
from pointrend_repro.reporting.results import load_result
from pointrend_repro.reporting.states import Digests, RecordsBeside


@dataclass(frozen=True)
class Verified:
    """How many files were looked at, and what is wrong with some, a line each."""

    looked_at: int
    problems: tuple[str, ...]


def verify(grid: Grid, results_dir: Path) -> Verified:
    """Look at all models, predictions and scores of a preset; what was never made is left out.

    Args:
        results_dir: the preset's folder, `results/<preset>`.
    """
    found = [*_look_at_made(grid, results_dir), *_look_at_scores(grid, results_dir)]
    return Verified(len(found), tuple(problem for problem in found if problem))


def _look_at_made(grid: Grid, results_dir: Path) -> Iterator[str]:
    """Yield what is wrong with each model and each prediction; empty where nothing is."""
    made: list[tuple[Training | Prediction, str, Maker]] = [
        *((training, training.model_path, "train") for training in grid.trainings),
        *(
            (prediction, prediction.path(grid.kind_of(prediction)), "predict")
            for prediction in grid.predictions
        ),
    ]
    scored = _scored(grid, results_dir)
    for source, file, step in made:
        path = results_dir / file
        if path.exists() or origin_path(path).exists():
            try:
                require_as_recorded(path, step)
                yield ""
            except UserError as error:
                yield str(error)
        elif source in scored:
            yield f"{path}: is gone, but results made from it are still there"


def _scored(grid: Grid, results_dir: Path) -> set[Training | Prediction]:
    there = [e.prediction for e in grid.evaluations if (results_dir / e.path).exists()]
    return {step for prediction in there for step in (*grid.before(prediction), prediction)}


def _look_at_scores(grid: Grid, results_dir: Path) -> Iterator[str]:
    beside = RecordsBeside(grid, results_dir)
    sources: list[Evaluation | Cost] = [*grid.evaluations, *grid.costs]
    for source in sources:
        path = results_dir / source.path
        if not path.exists():
            continue
        today = beside.of(source) if isinstance(source, Evaluation) else Digests()
        try:
            altered = load_result(path, source, grid.name, today).altered
        except UserError as error:
            yield str(error)
        else:
            yield f"{path}: {altered}" if altered else ""
