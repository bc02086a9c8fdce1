"""What a preset makes: trainings, predictions, evaluations and counts, and where each lies.

Paths are relative to `results/<preset>/`. Names of wildcards in the place of values make the
patterns of the rules (`workflow/rules/common*.smk`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.base.origins import origin_path
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.declarations.prediction_kind import PREDICTION_KINDS, PredictionKind
from pointrend_repro.settings.values import Split

# All numbers of a preset, collected.
METRICS_FILE = "metrics.csv"
ORIGINS_FILE = "origins.csv"  # beside it
# Only the pipeline makes it, once every number is there: metrics.csv may be of a part of them.
COLLECTED_FILE = "collected.flag"
PAGE_FILE = "index.html"
# What the name of a rule ends with that predicts without a trained model.
UNTRAINED = "_untrained"


def dataset_path(dataset: str) -> str:
    """Return the path of what the check of a data set has found."""
    return f"{dataset}/dataset.json"


def dataset_log_path(dataset: str) -> str:
    """Return the path of the log of that check."""
    return f"{dataset}/check.log"


def data_today_path(dataset: str) -> str:
    """Return the path of what the check before the report has found."""
    return f"{dataset}/data_today.json"


@dataclass(frozen=True, order=True)
class Training:
    """One training: a variant on a data set, with the trial that seeds it."""

    dataset: str
    variant: str
    trial: int

    @property
    def folder(self) -> str:
        """Path of the folder of its results."""
        return f"{self.dataset}/{self.variant}/trial{self.trial}"

    @property
    def model_path(self) -> str:
        """Path of the trained model."""
        return f"{self.folder}/model.safetensors"

    @property
    def origin_path(self) -> str:
        """Path of the model's record."""
        return str(origin_path(Path(self.model_path)))

    @property
    def log_path(self) -> str:
        """Path of the log."""
        return f"{self.folder}/train.log"

    @property
    def updates_path(self) -> str:
        """Path of what is known of its updates, a line each."""
        return f"{self.folder}/log.jsonl"

    @property
    def samples_folder(self) -> str:
        """Path of the folder of its sample predictions."""
        return f"{self.folder}/samples"


@dataclass(frozen=True, order=True)
class Prediction:
    """One pass of a trained model, or of several together, over the images of a split.

    `others` predict together with the model of `training`, in whose folder the results lie. The
    training images are predicted for other trainings to read, not to be scored. Of a method that is
    not trained, `training` is only the place, with trial 0 (`Grid.models_of`).
    """

    training: Training
    inference: str
    others: tuple[Training, ...] = ()
    split: Split = "val"

    @property
    def trainings(self) -> tuple[Training, ...]:
        """Those of all of its models."""
        return (self.training, *self.others)

    @property
    def folder(self) -> str:
        """Path of the folder of its results."""
        folder = f"{self.training.folder}/{self.inference}"
        return folder if self.split == "val" else f"{folder}/on_{self.split}"

    def path(self, kind: PredictionKind) -> str:
        """Return the path of the file or folder, of the kind that its model predicts."""
        return f"{self.folder}/{kind.path}"

    def origin_path(self, kind: PredictionKind) -> str:
        """Return the path of its record."""
        return f"{self.folder}/{kind.origin}"

    @property
    def log_path(self) -> str:
        """Path of the log."""
        return f"{self.folder}/predict.log"


@dataclass(frozen=True, order=True)
class Evaluation:
    """One official metric of one set of predictions."""

    prediction: Prediction
    metric: str

    @property
    def path(self) -> str:
        """Path of its JSON."""
        return f"{self.prediction.folder}/{self.metric}.json"

    @property
    def log_path(self) -> str:
        """Path of the metric's own log."""
        return f"{self.prediction.folder}/{self.metric}.log"

    @property
    def shared_log_path(self) -> str:
        """Path of the log of the process that scores the prediction by all of its metrics."""
        return f"{self.prediction.folder}/evaluate.log"

    @property
    def kind(self) -> PredictionKind:
        """The kind of the predictions that the metric scores."""
        return PREDICTION_KINDS.find(METRICS.find(self.metric).kind)


@dataclass(frozen=True, order=True)
class Cost:
    """The count of something of a model, such as operations, for which nothing is trained."""

    variant: str
    inference: str
    metric: str

    @property
    def path(self) -> str:
        """Path of its JSON."""
        return f"{self._stem}.json"

    @property
    def log_path(self) -> str:
        """Path of the log."""
        return f"{self._stem}.log"

    @property
    def benchmark_path(self) -> str:
        """Path of what Snakemake measures of the job."""
        return f"{self._stem}.benchmark.tsv"

    @property
    def _stem(self) -> str:
        folder = METRICS.find(self.metric).folder or self.metric
        return f"{folder}/{self.variant}/{self.inference}"


@dataclass(frozen=True)
class Cell:
    """One number of a table, and where it comes from in this preset.

    `evaluations` holds one evaluation a trial, or a cost; it is empty when the preset does not run
    the cell, and `not_run_because` then says why. `can_run` is False if no preset could: the row
    has published numbers only, or its model does not predict what the column scores.
    """

    table: str
    row: str
    column: str
    evaluations: tuple[Evaluation | Cost, ...]
    not_run_because: str = ""
    can_run: bool = True


def evaluation_rule(metrics: tuple[str, ...]) -> str:
    """Return the name of the rule that scores predictions by these metrics."""
    return "_".join(["evaluate", *metrics])


def page_paths(papers: Sequence[str]) -> dict[str, str]:
    """Return the report page of each paper below `reports/<preset>/`.

    One paper alone is `index.html`; of several that is the page that leads to them.
    """
    if len(papers) == 1:
        return {papers[0]: PAGE_FILE}
    return {paper: f"paper_{paper}.html" for paper in papers}


def prediction_rule(prediction: Prediction, kind: PredictionKind) -> str:
    """Return the name of the rule that makes a prediction of a kind."""
    return kind.rule if prediction.split == "val" else f"{kind.rule}_on_{prediction.split}"
