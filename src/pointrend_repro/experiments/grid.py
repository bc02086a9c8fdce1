"""The experiment grid: which trainings, predictions and evaluations a preset's tables ask for.

Tables name what they show; nothing else decides what runs. Cells that need the same training or
the same predictions share them, so each is made once.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

from pointrend_repro.base.errors import UserError
from pointrend_repro.config import figure_plan as plan
from pointrend_repro.config.figure_plan import DrawnPicture, FigureName
from pointrend_repro.config.reading import (
    CONFIG_DIR,
    load_dataset,
    load_preset,
    load_table,
    load_variant,
    resolve_inference,
    resolve_training,
)
from pointrend_repro.config.schema import (
    SEMANTIC_METRICS,
    AnyVariant,
    Dataset,
    Preset,
    SemanticVariant,
    Table,
)
from pointrend_repro.data.paths import UserData
from pointrend_repro.engines.checking import require_engine_can
from pointrend_repro.settings.semantic import AnyInferenceSettings, AnyTrainingSettings

_NO_USER_DATA = UserData()


@dataclass(frozen=True, order=True)
class Training:
    """One training: a variant on a data set, with the trial that seeds it."""

    dataset: str
    variant: str
    trial: int

    @property
    def folder(self) -> str:
        """Path of its results below `results/<preset>/`."""
        return f"{self.dataset}/{self.variant}/trial{self.trial}"


@dataclass(frozen=True, order=True)
class Prediction:
    """One pass of a trained model over the validation images."""

    training: Training
    inference: str

    @property
    def folder(self) -> str:
        """Path of its results below `results/<preset>/`."""
        return f"{self.training.folder}/{self.inference}"


@dataclass(frozen=True, order=True)
class Evaluation:
    """One official metric of one set of predictions."""

    prediction: Prediction
    metric: str

    @property
    def path(self) -> str:
        """Path of its JSON below `results/<preset>/`."""
        return f"{self.prediction.folder}/{self.metric}.json"


@dataclass(frozen=True, order=True)
class Cost:
    """The count of one mask head's operations, for which nothing is trained."""

    variant: str
    inference: str

    @property
    def path(self) -> str:
        """Path of its JSON below `results/<preset>/`."""
        return f"cost/{self.variant}/{self.inference}.json"


@dataclass(frozen=True)
class Cell:
    """One number of a table, and where it comes from in this preset.

    `evaluations` holds one evaluation a trial, or a cost; it is empty when the preset does not run
    the cell, and `not_run_because` then says why.
    """

    table: str
    row: str
    column: str
    evaluations: tuple[Evaluation | Cost, ...]
    not_run_because: str = ""


@dataclass(frozen=True)
class Grid:
    """A preset with everything that it names, read and checked.

    Lists are made once: the Snakefile asks for them again and again.
    """

    name: str
    preset: Preset
    tables: dict[str, Table]
    datasets: dict[str, Dataset]
    variants: dict[str, AnyVariant]
    cells: tuple[Cell, ...]

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        """Every evaluation that some cell shows, once."""
        return sorted(
            {e for cell in self.cells for e in cell.evaluations if isinstance(e, Evaluation)}
        )

    @cached_property
    def costs(self) -> list[Cost]:
        """Every count that some cell shows, once."""
        return sorted({e for cell in self.cells for e in cell.evaluations if isinstance(e, Cost)})

    @cached_property
    def predictions(self) -> list[Prediction]:
        """Every prediction that some evaluation scores, once."""
        return sorted({e.prediction for e in self.evaluations})

    @cached_property
    def scored_by(self) -> dict[tuple[str, ...], list[Prediction]]:
        """The predictions that are scored by the same metrics, by these metrics."""
        metrics: dict[Prediction, list[str]] = {}
        for evaluation in self.evaluations:
            metrics.setdefault(evaluation.prediction, []).append(evaluation.metric)
        found: dict[tuple[str, ...], list[Prediction]] = {}
        for prediction, names in metrics.items():
            found.setdefault(tuple(names), []).append(prediction)
        return dict(sorted(found.items()))

    @cached_property
    def trainings(self) -> list[Training]:
        """Every training that some prediction uses, once."""
        return sorted({p.training for p in self.predictions})

    def figure_trainings(self, figure: FigureName) -> list[Training]:
        """The trainings whose models a figure shows: always the first trial.

        Raises:
            UserError: they are not among those that the preset's tables use.
        """
        return self._first_trials(figure, plan.VARIANTS[figure], plan.DATASETS[figure])

    def picture_trainings(self, picture: DrawnPicture) -> list[Training]:
        """The trainings whose models a picture of the page shows: always the first trial.

        Raises:
            UserError: they are not among those that the preset's tables use.
        """
        return self._first_trials(picture, plan.PICTURE_VARIANTS[picture], plan.PICTURE_DATASET)

    def _first_trials(self, name: str, variants: tuple[str, ...], role: str) -> list[Training]:
        dataset = self.preset.datasets.get(role, "")
        wanted = [Training(dataset, variant, 0) for variant in variants]
        for training in wanted:
            if training not in self.trainings:
                raise UserError(
                    f"presets/{self.name}.yaml: {name} needs variant {training.variant!r} "
                    f"trained on data set {role!r}, which no table of the preset asks for; add "
                    f"such a table, and {role} to its datasets, or take {name} off the preset"
                )
        return wanted

    @property
    def drawn_pictures(self) -> list[DrawnPicture]:
        """The pictures of the page that are drawn from trained models."""
        return [name for name in get_args(DrawnPicture) if name in self.preset.pictures]

    def training_settings(self, dataset: str, variant: str) -> AnyTrainingSettings:
        """Resolved settings of a training in this preset, which all of its trials share."""
        if (dataset, variant) not in self._resolved:
            files = (
                f"presets/{self.name}.yaml with variants/{variant}.yaml on datasets/{dataset}.yaml"
            )
            self._resolved[dataset, variant] = resolve_training(
                self.preset, self.datasets[dataset], self.variants[variant], where=files
            )
        return self._resolved[dataset, variant]

    @cached_property
    def _resolved(self) -> dict[tuple[str, str], AnyTrainingSettings]:
        return {}

    def inference_settings(self, variant: str, inference: str) -> AnyInferenceSettings:
        """Settings of one of a variant's ways to predict."""
        return resolve_inference(
            self.variants[variant], inference, where=f"variants/{variant}.yaml"
        )


def evaluation_rule(metrics: tuple[str, ...]) -> str:
    """Return the name of the rule that scores predictions by these metrics."""
    return "_".join(["evaluate", *metrics])


def load_grid(
    preset_name: str, config_dir: Path = CONFIG_DIR, user: UserData = _NO_USER_DATA
) -> Grid:
    """Read a preset and all that it names, and lay out its experiments.

    Args:
        user: data of the user's own; AP* is scored only where there are LVIS annotations.

    Raises:
        UserError: a file is missing or wrong, or a combination does not resolve.
    """
    preset = load_preset(preset_name, config_dir)
    datasets = {name: load_dataset(name, config_dir) for name in set(preset.datasets.values())}
    tables = {
        name: _scored(name, load_table(name, config_dir), preset, datasets)
        for name in preset.tables
    }
    names = {row.variant for table in tables.values() for row in table.rows.values()}
    variants = {name: load_variant(name, config_dir) for name in names}
    cells = tuple(
        _cell(name, row, column, tables[name], preset, datasets, user)
        for name, table in tables.items()
        for row in table.rows
        for column in table.columns
    )
    for name, table in tables.items():
        _check_rows(name, table, variants)
    grid = Grid(preset_name, preset, tables, datasets, variants, cells)
    for prediction in grid.predictions:
        training = prediction.training
        settings = grid.training_settings(training.dataset, training.variant)
        inference = grid.inference_settings(training.variant, prediction.inference)
        require_engine_can(settings, inference, where=f"variants/{training.variant}.yaml")
    for figure in preset.figures:
        grid.figure_trainings(figure)
    for picture in grid.drawn_pictures:
        grid.picture_trainings(picture)
    return grid


def _scored(name: str, table: Table, preset: Preset, datasets: dict[str, Dataset]) -> Table:
    """Leave out the columns of metrics by which the data set that stands for theirs is not scored.

    Raises:
        UserError: no column is left.
    """
    used = {role: datasets[dataset] for role, dataset in preset.datasets.items()}
    kept = {
        key
        for key, column in table.columns.items()
        if column.dataset not in used or column.metric in used[column.dataset].scored_by
    }
    if not kept:
        raise UserError(
            f"tables/{name}.yaml: none of its metrics is among `metrics` of "
            f"{', '.join(sorted(datasets))} in datasets/; add one, or take the table off the preset"
        )
    return table.with_columns(kept)


def _cell(
    table_name: str,
    row_name: str,
    column_name: str,
    table: Table,
    preset: Preset,
    datasets: dict[str, Dataset],
    user: UserData,
) -> Cell:
    row, column = table.rows[row_name], table.columns[column_name]
    if column.dataset is None:
        return Cell(table_name, row_name, column_name, (Cost(row.variant, row.inference),))
    if column.dataset not in preset.datasets:
        reason = "not part of this preset"
        return Cell(table_name, row_name, column_name, (), reason)
    dataset = preset.datasets[column.dataset]
    lvis = user.lvis_annotations or datasets[dataset].lvis_annotations
    if column.metric == "lvis_ap_star" and not lvis:
        reason = "no LVIS annotations given; name them by lvis_annotations=FILE"
        return Cell(table_name, row_name, column_name, (), reason)
    evaluations = tuple(
        Evaluation(Prediction(Training(dataset, row.variant, k), row.inference), column.metric)
        for k in range(preset.trials[column.dataset])
    )
    return Cell(table_name, row_name, column_name, evaluations)


def _check_rows(name: str, table: Table, variants: dict[str, AnyVariant]) -> None:
    """Refuse a row that its variant cannot fill.

    Label maps are not scored as instances, nor the other way round; and what is only counted must
    have an inference setting, too.
    """
    for row_name, row in table.rows.items():
        where = f"tables/{name}.yaml: row {row_name!r}: variants/{row.variant}.yaml"
        resolve_inference(variants[row.variant], row.inference, where=where)
        is_semantic = isinstance(variants[row.variant], SemanticVariant)
        for column in table.columns.values():
            if is_semantic != (column.metric in SEMANTIC_METRICS):
                kind = "a semantic" if is_semantic else "an instance"
                raise UserError(
                    f"tables/{name}.yaml: row {row_name!r}: variant {row.variant!r} is {kind} "
                    f"model, which metric {column.metric} does not score"
                )
