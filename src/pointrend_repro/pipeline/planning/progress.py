"""What of a preset's experiments is on disk already.

A result counts as done if it was made with today's settings and everything it is made of is done.
Snakemake, which also looks at times and at rules, has the last word: `snakemake -n`.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.base.origins import origin_path
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cost, Evaluation, Prediction, Training, dataset_path
from pointrend_repro.pipeline.planning.published import Speeds
from pointrend_repro.settings.identity import are_of
from pointrend_repro.settings.of_family import AnyInferenceSettings, AnyTrainingSettings
from pointrend_repro.settings.values import Split

TrainingState = Literal["done", "started", "to do", "other settings"]


@dataclass(frozen=True)
class TrainingProgress:
    """How far one training is; `updates_done` is of its newest checkpoint."""

    state: TrainingState
    updates_done: int = 0


@dataclass(frozen=True)
class Progress:
    """What is done of each experiment of a preset."""

    trainings: dict[Training, TrainingProgress]
    predictions: dict[Prediction, bool]
    evaluations: dict[Evaluation, bool]
    costs: dict[Cost, bool]

    def is_trained(self, training: Training) -> bool:
        """Whether a training is done."""
        return self.trainings[training].state == "done"


def look_at(grid: Grid, results_dir: Path) -> Progress:
    """Look for the results of a preset in its folder, `results/<preset>`."""
    trainings = {
        training: _training_progress(
            results_dir,
            training,
            grid.training_settings(training.dataset, training.variant),
        )
        for training in grid.trainings
    }
    predictions = {
        prediction: all(trainings[t].state == "done" for t in grid.models_of(prediction))
        and _is_predicted(
            results_dir / prediction.path(grid.kind_of(prediction)),
            grid.inference_settings(prediction.training.variant, prediction.inference),
        )
        for prediction in grid.predictions
    }
    return Progress(
        trainings=trainings,
        predictions=predictions,
        evaluations={
            e: predictions[e.prediction] and (results_dir / e.path).is_file()
            for e in grid.evaluations
        },
        costs={cost: (results_dir / cost.path).is_file() for cost in grid.costs},
    )


def checked_images(grid: Grid, results_dir: Path, split: Split) -> dict[str, int]:
    """Return how many images the split of each data set has that has been checked."""
    found = {name: _record(results_dir / dataset_path(name), split) for name in grid.datasets}
    return {name: int(part["images"]) for name, part in found.items() if part and "images" in part}


def _training_progress(
    results_dir: Path, training: Training, settings: AnyTrainingSettings
) -> TrainingProgress:
    made = _record(results_dir / training.origin_path, "train")
    if made is not None and (results_dir / training.model_path).is_file():
        same = are_of(made.get("settings"), settings)
        return TrainingProgress("done" if same else "other settings")
    updates = _newest_checkpoint(results_dir / training.folder / "checkpoints")
    return TrainingProgress("started" if updates else "to do", updates)


def _is_predicted(path: Path, settings: AnyInferenceSettings) -> bool:
    made = _record(origin_path(path), "predict")
    return made is not None and path.exists() and are_of(made.get("settings"), settings)


def _record(origin: Path, step: str) -> dict[str, Any] | None:
    try:
        content = read_json(origin)
    except UserError:
        return None
    found = content.get(step) if isinstance(content, dict) else None
    return found if isinstance(found, dict) else None


def _newest_checkpoint(folder: Path) -> int:
    found = (re.match(r"iter_(\d+)", path.name) for path in folder.glob("iter_*.pt"))
    return max((int(name[1]) for name in found if name), default=0)


def images_of_splits(grid: Grid, results: Path, speeds: Speeds) -> dict[tuple[str, Split], int]:
    """Return how many images each split of the data sets has, as far as that is known."""
    known: dict[tuple[str, Split], int | None] = {}
    for name, size in speeds.datasets.items():
        known |= {(name, "val"): size.val_images, (name, "train"): size.train_images}
    splits: tuple[Split, ...] = ("val", "train")
    for split in splits:
        checked = checked_images(grid, results, split)
        known |= {(name, split): count for name, count in checked.items()}
    return {key: count for key, count in known.items() if count is not None}
