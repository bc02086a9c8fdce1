"""Every file of a preset's results against its record: what no step would look at any more, too.

A model whose scores are there is not read again by the pipeline, and not made again if it is gone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.origins import Maker, origin_path, require_as_recorded
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cost, Evaluation, Prediction, Training
from pointrend_repro.reporting.results import load_result
from pointrend_repro.reporting.states import Digests, RecordsBeside

_GONE = ": is gone, but results made from it are still there"


@dataclass(frozen=True)
class Verified:
    """What was found.

    Attributes:
        looked_at: how many files, those that are gone included.
        problems: what is wrong with some, a line each.
        gone: how many of these lines say that a file is gone.
        others: how many scores lie in the folder that the preset, with its settings, does not have.
    """

    looked_at: int
    problems: tuple[str, ...]
    gone: int
    others: int


def verify(grid: Grid, results_dir: Path) -> Verified:
    """Look at all models, predictions and scores of a preset; what was never made is left out.

    Args:
        results_dir: the preset's folder, `results/<preset>`.
    """
    found = [*_look_at_made(grid, results_dir), *_look_at_scores(grid, results_dir)]
    problems = tuple(problem for problem in found if problem)
    gone = sum(problem.endswith(_GONE) for problem in problems)
    return Verified(len(found), problems, gone, _scores_of_others(grid, results_dir))


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
            yield f"{path}{_GONE}"


def _scored(grid: Grid, results_dir: Path) -> set[Training | Prediction]:
    there = [e.prediction for e in grid.evaluations if (results_dir / e.path).exists()]
    return {step for prediction in there for step in (*grid.before(prediction), prediction)}


def _scores_of_others(grid: Grid, results_dir: Path) -> int:
    known, names = {evaluation.path for evaluation in grid.evaluations}, set(METRICS.names())
    found = (path for path in results_dir.glob("*/*/trial*/*/*.json") if path.stem in names)
    return sum(path.relative_to(results_dir).as_posix() not in known for path in found)


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
