"""The experiment grid: which trainings, predictions and evaluations a preset's tables ask for.

Tables name what they show; nothing else decides what runs. Cells that need the same training or
the same predictions share them, so each is made once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from pointrend_repro.base.provenance import digest
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.figures import PLOTTED, Figures
from pointrend_repro.config.papers import Paper
from pointrend_repro.config.presets import Preset
from pointrend_repro.config.reading import (
    as_preset_predicts,
    overrides_at_test,
    resolve_inference,
)
from pointrend_repro.config.tables import Table
from pointrend_repro.config.variants import Variant, is_trained, kind_of, together
from pointrend_repro.declarations.family import FAMILIES
from pointrend_repro.declarations.prediction_kind import PredictionKind
from pointrend_repro.experiments.choosing import without_others
from pointrend_repro.experiments.nodes import Cell, Cost, Evaluation, Prediction, Training
from pointrend_repro.experiments.resolving import Resolving
from pointrend_repro.settings.at_test import SizeAtTest
from pointrend_repro.settings.identity import identity
from pointrend_repro.settings.of_family import AnyInferenceSettings, AnyTrainingSettings, Inference
from pointrend_repro.settings.values import Split


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
        part = replace(
            self,
            preset=without_others(self.name, self.preset, self.drawn, [paper], is_choice=True),
            tables=tables,
            cells=tuple(cell for cell in self.cells if cell.table in tables),
            papers={paper: self.papers[paper]},
            table_papers=dict.fromkeys(tables, paper),
        )
        roles = {column.dataset for table in tables.values() for column in table.columns.values()}
        used = {name for role, name in self.preset.datasets.items() if role in roles}
        used |= {training.dataset for training in part.trainings}  # some in no column
        shown = [self.drawn.figure(name).entry for name in part.preset.figures]
        used |= {self.preset.datasets[r] for entry in shown for r in entry.datasets.values()}
        return replace(part, datasets={k: d for k, d in self.datasets.items() if k in used})

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
        """Every prediction that some evaluation scores, or another model reads boxes of, once."""
        return sorted(step for step in self._steps if isinstance(step, Prediction))

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
        """Every training that some prediction uses, or another training builds on, once."""
        return sorted(step for step in self._steps if isinstance(step, Training))

    @cached_property
    def _steps(self) -> set[Training | Prediction]:
        scored = {e.prediction for e in self.evaluations}
        return {step for p in sorted(scored) for step in (*self.before(p), p)}

    def before(self, step: Training | Prediction) -> list[Training | Prediction]:
        """All trainings and predictions that one needs, each behind those that it needs itself."""
        if isinstance(step, Training):
            direct = [self.source_of(step), self.boxes_of(step, "train")]
        else:
            direct = [*self.models_of(step), self.boxes_of(step.training, step.split)]
        found = [each for s in direct if s is not None for each in (*self.before(s), s)]
        return list(dict.fromkeys(found))

    def models_of(self, prediction: Prediction) -> list[Training]:
        """The trainings whose models make a prediction; none if its method is not trained."""
        return [t for t in prediction.trainings if is_trained(self.variants[t.variant])]

    def source_of(self, training: Training) -> Training | None:
        """The training whose weights another one begins with, if it does."""
        start = self._own_settings(training).start_from
        if start is None or start.variant is None or start.dataset is None:
            return None
        return Training(start.dataset, start.variant, training.trial)

    def boxes_of(self, training: Training, split: Split) -> Prediction | None:
        """The prediction of a split's images whose boxes a training's model reads, if it does."""
        if not is_trained(self.variants[training.variant]):
            return None
        boxes = self._own_settings(training).proposals_from
        if boxes is None or boxes.dataset is None:
            return None
        source = self.variants[boxes.variant]
        trial = training.trial if is_trained(source) else 0
        models = [boxes.variant, *together(source, boxes.inference)]
        own, *others = (Training(boxes.dataset, name, trial) for name in models)
        return Prediction(own, boxes.inference, tuple(others), split)

    def sources_of(self, training: Training) -> list[Training]:
        """All trainings that come before another one, the first of them first."""
        return [step for step in self.before(training) if isinstance(step, Training)]

    def _own_settings(self, training: Training) -> AnyTrainingSettings:
        return self.training_settings(training.dataset, training.variant)

    def kind_of(self, prediction: Prediction) -> PredictionKind:
        """What kind a prediction is of: a file of objects, label maps."""
        return kind_of(self.variants[prediction.training.variant])

    @property
    def drawn_pictures(self) -> list[str]:
        """The pictures of the page that are drawn from trained models."""
        return [name for name in self.preset.pictures if name not in PLOTTED]

    def training_settings(self, dataset: str, variant: str) -> AnyTrainingSettings:
        """Resolved settings of a training in this preset, which all of its trials share.

        Raises:
            UserError: they do not resolve, or the training builds on itself by way of others.
        """
        return self._resolving.settings((dataset, variant))

    @cached_property
    def _resolving(self) -> Resolving:
        return Resolving(
            self.name,
            self.preset,
            self.datasets,
            self.variants,
            self.trained_by,
            self.variant_files,
        )

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

    def as_shown(self, variant: str, settings: Inference) -> Inference:
        """How a variant's models predict where no inference setting is named: in figures."""
        return as_preset_predicts(self.preset, self.variants[variant], settings)

    @cached_property
    def shown_with(self) -> str:
        """A digest of what the preset says beside models, and tests them with, in its pictures."""
        overrides = self.preset.overrides
        tests = [identity(over.test) for over in overrides.by_family().values()]
        changes = tests if any(tests) else []
        for variant in self.variants.values():
            beside = overrides.of_family(FAMILIES.find(variant.family)).beside_test(variant.model)
            # Where no model of the grid is concerned, the digest is that of a preset without it.
            changes += [beside] if beside and beside not in changes else []
        return digest([self.preset.warning, *changes] if changes else self.preset.warning)
