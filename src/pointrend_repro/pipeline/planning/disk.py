"""Disk space that a preset takes, done and to do together, estimated from sizes."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.declarations.prediction_kind import PredictionKind
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Prediction, Training
from pointrend_repro.pipeline.planning.published import DatasetSize
from pointrend_repro.pipeline.planning.ranges import Range, total
from pointrend_repro.pipeline.planning.speeds import ModelSpeed

# The two newest stay beside the model; while the next is written there are three.
CHECKPOINTS_KEPT = 2
# The weights, and the optimizer's momentum of each.
_COPIES_IN_A_CHECKPOINT = 2


@dataclass(frozen=True)
class DiskItem:
    """One kind of files: how many bytes in all, and how that is estimated."""

    what: str
    bytes: Range
    how: str


def estimate_disk(
    grid: Grid, models: dict[Training, ModelSpeed | None], sizes: dict[str, DatasetSize]
) -> list[DiskItem]:
    """Return what lies on disk at the end; what nothing is known of is left out."""
    weights = sum(m.model_bytes for m in models.values() if m)
    per_training = CHECKPOINTS_KEPT * _COPIES_IN_A_CHECKPOINT
    predictions = [
        _prediction_bytes(sizes[p.training.dataset], p, grid.kind_of(p))
        for p in grid.predictions
        if p.training.dataset in sizes
    ]
    items = [
        DiskItem(f"data set {name}", Range(*sizes[name].bytes), sizes[name].source)
        for name in sorted(grid.datasets)
        if name in sizes
    ]
    items.append(DiskItem("models", Range(weights, weights), "4 bytes per parameter"))
    items.append(
        DiskItem(
            "checkpoints",
            Range(weights * per_training, weights * per_training),
            f"the {CHECKPOINTS_KEPT} newest of each training, weights and momentum; "
            "can be deleted when the training is done",
        )
    )
    items.append(
        DiskItem(
            "predictions",
            total(predictions),
            "for each prediction: detections per image times bytes per mask, or label images",
        )
    )
    return [item for item in items if item.bytes.high > 0]


def free_bytes(folder: Path) -> int | None:
    """Return the space that is free where `folder` is or would be, or None if that is unknown."""
    for place in (folder, *folder.absolute().parents):
        if place.exists():
            return shutil.disk_usage(place).free
    return None


def _prediction_bytes(size: DatasetSize, prediction: Prediction, kind: PredictionKind) -> Range:
    images = size.val_images if prediction.split == "val" else size.train_images or 0
    return Range(*kind.image_bytes(size)) * images
