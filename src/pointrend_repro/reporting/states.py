"""Whether a number is still what its record describes.

The record of an evaluation has the digest of the numbers that it wrote, and that of the predictions
which it read; the record of a prediction likewise. So a number that a person has edited shows, and
so does one whose predictions or model have been made anew since, by records alone. Likewise for the
model that a training began with; of a file of weights, by the file itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pointrend_repro.base.digests import content_digest, result_digest
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.config.variants import is_trained
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Evaluation, Training
from pointrend_repro.settings.values import Split

# `no digest`: some step was recorded before digests were kept, so this is unknown.
State = Literal[
    "as made",
    "no digest",
    "edited",
    "other predictions",
    "other model",
    "other source",
    "other boxes",
]

# Of those that are no longer what a step has measured; what a reader is told beside the number.
ALTERED: dict[State, str] = {
    "edited": "edited since it was scored",
    "other predictions": "not scored from the current predictions",
    "other model": "not predicted by the current model",
    "other source": "not trained from the current weights of its source",
    "other boxes": "not made with the current boxes that it was given",
}


@dataclass(frozen=True)
class Digests:
    """What the records beside a model and its predictions say of them today; None if nothing.

    Attributes:
        source: of the model or the file that the training of `model` begins with, if with one.
        others: of the models that predict together with `model`, in their order.
        boxes: that the training of `model`, and that the prediction was given, if they were.
    """

    model: str | None = None
    predictions: str | None = None
    source: str | None = None
    others: tuple[str | None, ...] = ()
    boxes: tuple[str | None, str | None] = (None, None)


class RecordsBeside:
    """The records in the folder of a preset, each read once."""

    def __init__(self, grid: Grid, results_dir: Path) -> None:
        self._grid = grid
        self._results_dir = results_dir
        self._found: dict[Path, str | None] = {}
        self._weights: dict[tuple[str, str], Path | None] = {}

    def of(self, evaluation: Evaluation) -> Digests:
        """Return what the records of a number's model and predictions say today."""
        prediction, training = evaluation.prediction, evaluation.prediction.training
        return Digests(
            self._digest(training.origin_path, "train"),
            self._digest(prediction.origin_path(evaluation.kind), "predict"),
            self._source(training),
            tuple(self._digest(other.origin_path, "train") for other in prediction.others),
            (self._boxes(training, "train"), self._boxes(training, prediction.split)),
        )

    def _boxes(self, training: Training, split: Split) -> str | None:
        boxes = self._grid.boxes_of(training, split)
        if boxes is None:
            return None
        return self._digest(boxes.origin_path(self._grid.kind_of(boxes)), "predict")

    def _source(self, training: Training) -> str | None:
        if not is_trained(self._grid.variants[training.variant]):
            return None
        source = self._grid.source_of(training)
        if source is not None:
            return self._digest(source.origin_path, "train")
        weights = self._weights_of(training)
        if weights is None:
            return None
        if weights not in self._found:  # a file that is gone is needed no more
            self._found[weights] = content_digest(weights) if weights.is_file() else None
        return self._found[weights]

    def _weights_of(self, training: Training) -> Path | None:
        key = training.dataset, training.variant
        if key not in self._weights:
            start = self._grid.training_settings(*key).start_from
            self._weights[key] = Path(start.weights) if start and start.weights else None
        return self._weights[key]

    def _digest(self, origin_path: str, step: str) -> str | None:
        path = self._results_dir / origin_path
        if path not in self._found:
            self._found[path] = _recorded(path, step)
        return self._found[path]


def state_of(content: Mapping[str, Any], today: Digests) -> State:
    """Return the state of the numbers in a metric file.

    Args:
        content: the JSON of the file, checked to be that of a metric.
        today: what the records of its model and predictions say.
    """
    steps = [content["origin"].get(name) for name in ("train", "predict", "evaluate")]
    train, predict, evaluate = (step or {} for step in steps)
    made = evaluate.get("output_digest")
    if made is not None and made != result_digest(content):
        return "edited"
    scored, used = evaluate.get("input_digest"), predict.get("input_digest")
    if _differ(scored, predict.get("output_digest"), today.predictions):
        return "other predictions"
    if _differ(used, train.get("output_digest"), today.model):
        return "other model"
    together = zip(predict.get("others") or (), today.others, strict=False)
    if any(_differ(other.get("input_digest"), digest) for other, digest in together):
        return "other model"
    if _differ((train.get("started_from") or {}).get("input_digest"), today.source):
        return "other source"
    for step, boxes in zip((train, predict), today.boxes, strict=True):
        if _differ((step.get("proposals_from") or {}).get("input_digest"), boxes):
            return "other boxes"
    if any(step and step.get("output_digest") is None for step in steps):
        return "no digest"
    return "as made"


def _differ(read: str | None, *made: str | None) -> bool:
    """Whether what a step has read is known not to be what another has made."""
    return read is not None and any(digest not in (None, read) for digest in made)


def _recorded(path: Path, step: str) -> str | None:
    try:
        origin = read_json(path)
    except UserError:  # not there, or damaged: whoever uses the result says so
        return None
    record = origin.get(step) if isinstance(origin, dict) else None
    found = record.get("output_digest") if isinstance(record, dict) else None
    return found if isinstance(found, str) else None
