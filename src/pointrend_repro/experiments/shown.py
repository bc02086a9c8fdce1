"""What a figure or picture shows of a grid: models, numbers, and data sets."""

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.figures import PaperFigure
from pointrend_repro.config.variants import is_trained
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cost, Evaluation, Prediction, Training


def trainings_shown(grid: Grid, figure: PaperFigure) -> dict[str, Training]:
    """The trainings whose models a figure or picture shows, always the first trial, by part.

    Raises:
        UserError: they are not among those that the preset's tables use.
    """
    role = figure.entry.role
    dataset = grid.preset.datasets.get(role, "")
    shown = {
        part: Training(dataset, name, _first_trial(grid, role, name))
        for part, name in figure.entry.models.items()
    }
    for training in shown.values():
        if training not in grid.trainings:
            raise UserError(
                f"presets/{grid.name}.yaml: {figure.public_name} needs variant "
                f"{training.variant!r} trained on data set {role!r}, which no table of the "
                f"preset asks for; add such a table, and {role} to its datasets, or take "
                f"{figure.public_name} off the preset"
            )
    return shown


def scores_shown(grid: Grid, figure: PaperFigure) -> dict[str, Evaluation | Cost]:
    """The numbers that a figure plots, of the first trial, by part.

    Raises:
        UserError: no table of the preset asks for one.
    """
    shown: dict[str, Evaluation | Cost] = {}
    for part, score in figure.entry.scores.items():
        if METRICS.find(score.metric).reads is None:
            shown[part] = Cost(score.variant, score.inference, score.metric)
        else:
            trial = _first_trial(grid, figure.entry.role, score.variant)
            training = Training(dataset_shown(grid, figure), score.variant, trial)
            shown[part] = Evaluation(Prediction(training, score.inference), score.metric)
        if shown[part] not in [*grid.evaluations, *grid.costs]:
            raise UserError(
                f"presets/{grid.name}.yaml: {figure.public_name} plots {score.metric} of "
                f"{score.variant} ({score.inference}), which no table of the preset asks for; "
                f"add such a table, or take {figure.public_name} off the preset"
            )
    return shown


def datasets_shown(grid: Grid, figure: PaperFigure) -> dict[str, str]:
    """The data sets that a figure compares, by part.

    Raises:
        UserError: the preset has none in the role of one.
    """
    lacking = [r for r in figure.entry.datasets.values() if r not in grid.preset.datasets]
    if lacking:
        raise UserError(
            f"presets/{grid.name}.yaml: {figure.public_name} shows data set {lacking[0]}; add "
            f"it to the preset's datasets, or take {figure.public_name} off the preset"
        )
    return {part: grid.preset.datasets[r] for part, r in figure.entry.datasets.items()}


def dataset_shown(grid: Grid, figure: PaperFigure) -> str:
    """The data set whose images a figure or picture shows, or that are scored for it."""
    if not figure.entry.models:
        return grid.preset.datasets.get(figure.entry.role, "")
    return next(iter(trainings_shown(grid, figure).values())).dataset


def _first_trial(grid: Grid, role: str, variant: str) -> int:
    """The first trial on a data set of the tables; 0 for what is not trained, which has but one."""
    known = grid.variants.get(variant)
    return grid.preset.trials_of(role)[0] if known is None or is_trained(known) else 0
