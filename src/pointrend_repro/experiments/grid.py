"""The experiment grid: which trainings, predictions and evaluations a preset's tables ask for.

Tables name what they show; nothing else decides what runs. Cells that need the same training or
the same predictions share them, so each is made once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.provenance import digest
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.figures import PLOTTED, Figures, PaperFigure
from pointrend_repro.config.papers import Paper
from pointrend_repro.config.presets import Preset
from pointrend_repro.config.reading import (
    overrides_at_test,
    resolve_inference,
    resolve_training,
)
from pointrend_repro.config.tables import Table
from pointrend_repro.config.variants import Variant, kind_of
from pointrend_repro.declarations.prediction_kind import PredictionKind
from pointrend_repro.experiments.nodes import Cell, Cost, Evaluation, Prediction, Training
from pointrend_repro.settings.at_test import SizeAtTest
from pointrend_repro.settings.identity import identity
from pointrend_repro.settings.of_family import AnyInferenceSettings, AnyTrainingSettings, Recipe


@dataclass(frozen=True)
class Grid:
    """A preset with everything that it names, read and checked.

    Lists are made once: the Snakefile asks for them again and again.

    Attributes:
        papers: whose tables, figures and claims are made.
        table_papers: the paper of each table.
        trained_by: the paper by whose protocol each variant is trained.
        variant_files: below `config/`.
    """

    name: str
    preset: Preset
    tables: dict[str, Table]
    datasets: dict[str, Dataset]
    variants: dict[str, Variant]
    cells: tuple[Cell, ...]
    drawn: Figures
    papers: Mapping[str, Paper]
    table_papers: Mapping[str, str]
    trained_by: Mapping[str, Paper]
    variant_files: Mapping[str, str]

    def paper_of(self, table: str) -> Paper:
        """The paper that a table is of."""
        return self.papers[self.table_papers[table]]

    def of_paper(self, paper: str) -> "Grid":
        """The part of the grid that one of its papers asks for."""
        tables = {name: t for name, t in self.tables.items() if self.table_papers[name] == paper}
        others = {
            name
            for name, figure in (self.drawn.figures | self.drawn.pictures).items()
            if figure.paper != paper
        }
        drawn = {
            key: [name for name in getattr(self.preset, key) if name not in others]
            for key in ("figures", "pictures")
        }
        roles = {column.dataset for table in tables.values() for column in table.columns.values()}
        used = {name for role, name in self.preset.datasets.items() if role in roles}
        return replace(
            self,
            preset=self.preset.model_copy(update=drawn),
            tables=tables,
            datasets={name: dataset for name, dataset in self.datasets.items() if name in used},
            cells=tuple(cell for cell in self.cells if cell.table in tables),
            papers={paper: self.papers[paper]},
            table_papers=dict.fromkeys(tables, paper),
        )

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
    def counted(self) -> list[str]:
        """The metrics by which models are counted."""
        return sorted({cost.metric for cost in self.costs})

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

    def kind_of(self, prediction: Prediction) -> PredictionKind:
        """What kind a prediction is of: a file of objects, label maps."""
        return kind_of(self.variants[prediction.training.variant])

    def trainings_shown(self, figure: PaperFigure) -> dict[str, Training]:
        """The trainings whose models a figure or picture shows, always the first trial, by part.

        Raises:
            UserError: they are not among those that the preset's tables use.
        """
        role = figure.entry.role
        dataset = self.preset.datasets.get(role, "")
        shown = {part: Training(dataset, name, 0) for part, name in figure.entry.models.items()}
        for training in shown.values():
            if training not in self.trainings:
                raise UserError(
                    f"presets/{self.name}.yaml: {figure.public_name} needs variant "
                    f"{training.variant!r} trained on data set {role!r}, which no table of the "
                    f"preset asks for; add such a table, and {role} to its datasets, or take "
                    f"{figure.public_name} off the preset"
                )
        return shown

    def dataset_shown(self, figure: PaperFigure) -> str:
        """The data set whose images a figure or picture shows.

        Raises:
            UserError: as of `trainings_shown`.
        """
        return next(iter(self.trainings_shown(figure).values())).dataset

    @property
    def drawn_pictures(self) -> list[str]:
        """The pictures of the page that are drawn from trained models."""
        return [name for name in self.preset.pictures if name not in PLOTTED]

    def training_settings(self, dataset: str, variant: str) -> AnyTrainingSettings:
        """Resolved settings of a training in this preset, which all of its trials share."""
        if (dataset, variant) not in self._resolved:
            model = self.variant_files[variant]
            self._resolved[dataset, variant] = resolve_training(
                self.preset,
                self.datasets[dataset],
                self.variants[variant],
                self._protocol(dataset, variant),
                where=f"presets/{self.name}.yaml with {model} on datasets/{dataset}.yaml",
            )
        return self._resolved[dataset, variant]

    def _protocol(self, dataset: str, variant: str) -> Mapping[str, Recipe]:
        """Recipes by which a variant's paper trains on what the data set stands for."""
        if self.datasets[dataset].own_recipes:
            return {}
        roles = [role for role, name in self.preset.datasets.items() if name == dataset]
        return self.trained_by[variant].recipes_for(roles)

    @cached_property
    def _resolved(self) -> dict[tuple[str, str], AnyTrainingSettings]:
        return {}

    def inference_settings(self, variant: str, inference: str) -> AnyInferenceSettings:
        """Settings of one of a variant's ways to predict, with what the preset changes of them."""
        return resolve_inference(
            self.variants[variant],
            inference,
            where=self.variant_files[variant],
            preset=self.preset,
        )

    def overrides_at_test(self, variant: str) -> SizeAtTest:
        """What the preset tests a variant's models with, whatever is shown of them."""
        return overrides_at_test(self.preset, self.variants[variant])

    @cached_property
    def shown_with(self) -> str:
        """A digest of what the preset says beside models, and tests them with, in its pictures."""
        overrides = self.preset.overrides.by_family().values()
        tests = [identity(over.test) for over in overrides]
        return digest([self.preset.warning, *tests] if any(tests) else self.preset.warning)
