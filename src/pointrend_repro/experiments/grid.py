"""The experiment grid: which trainings, predictions and evaluations a preset's tables ask for.

Tables name what they show; nothing else decides what runs. Cells that need the same training or
the same predictions share them, so each is made once.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from pointrend_repro.base.errors import UserError
from pointrend_repro.config import figure_plan as plan
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.figure_plan import DrawnPicture, FigureName
from pointrend_repro.config.presets import Preset
from pointrend_repro.config.reading import (
    resolve_inference,
    resolve_training,
)
from pointrend_repro.config.tables import Table
from pointrend_repro.config.variants import AnyVariant
from pointrend_repro.experiments.nodes import Cell, Cost, Evaluation, Prediction, Training
from pointrend_repro.settings.identity import settings_digest
from pointrend_repro.settings.semantic import AnyInferenceSettings, AnyTrainingSettings


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
        """Every training that some prediction uses, or another training starts from, once."""
        found = {training for p in self.predictions for training in p.trainings}
        waiting = list(found)
        while waiting:
            source = self.source_of(waiting.pop())
            if source is not None and source not in found:
                found.add(source)
                waiting.append(source)
        return sorted(found)

    def source_of(self, training: Training) -> Training | None:
        """The training whose weights another one begins with, if it does."""
        variant = self.variants.get(training.variant)
        if variant is None or variant.start_from is None or variant.start_from.variant is None:
            return None
        start = self.training_settings(training.dataset, training.variant).start_from
        assert start is not None
        assert start.variant is not None
        assert start.dataset is not None
        return Training(start.dataset, start.variant, training.trial)

    def sources_of(self, training: Training) -> list[Training]:
        """All trainings that come before another one, the first of them first."""
        source = self.source_of(training)
        return [] if source is None else [*self.sources_of(source), source]

    def trained_before(self, prediction: Prediction) -> list[Training]:
        """All trainings that a prediction needs beside that of its own model, in their order."""
        sources = [s for t in prediction.trainings for s in [*self.sources_of(t), t]]
        return [t for t in dict.fromkeys(sources) if t != prediction.training]

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
        """Resolved settings of a training in this preset, which all of its trials share.

        Raises:
            UserError: they do not resolve, or the training starts from itself by way of others.
        """
        return self._resolve(dataset, variant, ())

    def _resolve(
        self, dataset: str, variant: str, followers: tuple[tuple[str, str], ...]
    ) -> AnyTrainingSettings:
        """Resolve settings; `followers` start from them, the last of them directly."""
        pair = (dataset, variant)
        if pair not in self._resolved:
            files = (
                f"presets/{self.name}.yaml with variants/{variant}.yaml on datasets/{dataset}.yaml"
            )
            path = (*followers, pair)
            if pair in followers:
                told = " -> ".join("/".join(step) for step in path[path.index(pair) :])
                raise UserError(f"{files}: start_from leads back to itself: {told}")
            settings = resolve_training(
                self.preset, self.datasets[dataset], self.variants[variant], where=files
            )
            self._resolved[pair] = self._with_source(settings, path, files)
        return self._resolved[pair]

    def _with_source(
        self, settings: AnyTrainingSettings, path: tuple[tuple[str, str], ...], where: str
    ) -> AnyTrainingSettings:
        """Let the settings of a training say which other one it starts from, and of what settings.

        Thereby a change of that one is a change of this one.
        """
        start = settings.start_from
        if start is None or start.variant is None:
            return settings
        dataset = path[-1][0] if start.dataset is None else self._standing_for(start.dataset, where)
        source = self._resolve(dataset, start.variant, path)
        update = {"dataset": dataset, "settings_digest": settings_digest(source)}
        return settings.model_copy(update={"start_from": start.model_copy(update=update)})

    def _standing_for(self, role: str, where: str) -> str:
        if role not in self.preset.datasets:
            raise UserError(
                f"{where}: start_from.dataset: {role!r} is not one of the preset's datasets "
                f"{sorted(self.preset.datasets)}"
            )
        return self.preset.datasets[role]

    @cached_property
    def _resolved(self) -> dict[tuple[str, str], AnyTrainingSettings]:
        return {}

    def inference_settings(self, variant: str, inference: str) -> AnyInferenceSettings:
        """Settings of one of a variant's ways to predict."""
        return resolve_inference(
            self.variants[variant], inference, where=f"variants/{variant}.yaml"
        )
