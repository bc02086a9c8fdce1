"""Short digests of what a step read from a data set, so that later changes are noticed.

For annotations the content counts; for images the names and sizes, since rereading all of COCO's at
every check would take longer than the check. An image that is altered in place without changing its
size is not noticed.

`dataset.json` holds these digests of today's data, one for each part; the record of each step holds
the one that it read:

- `train`: annotations and images that a detector learns from,
- `train_labels`: images and label images that a semantic model learns from,
- `val_images`: images to predict,
- `val_annotations`, `lvis_annotations`, `val_label_images`: what predictions are scored against.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.provenance import digest
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.paths import GENERATED_RECORD, DataPaths
from pointrend_repro.declarations.metric import Truth

Part = Literal["train", "train_labels", "val_images"] | Truth

_DIGITS = 12


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content in 64 hex digits.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def names_and_sizes(files: Iterable[Path]) -> str:
    """Return a digest of the names and sizes of files, regardless of order and folders.

    Raises:
        UserError: one is missing.
    """
    try:
        return digest(sorted([path.name, path.stat().st_size] for path in files))
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read: {error.strerror}") from None


def training_data(dataset: Any, data: DataPaths) -> dict[str, str]:
    """Return the part of a data set that a training reads, for its record.

    Args:
        dataset: the train split, as `CocoDataset` or `LabelledImages`.
        data: where it is.
    """
    if isinstance(dataset, CocoDataset):
        return _part("train", annotated_images(data.train_annotations, dataset))
    return _part("train_labels", labelled_images(dataset))


def predicted_data(dataset: Any) -> dict[str, str]:
    """Return the part of a data set that a prediction reads: the images of `dataset`."""
    return _part("val_images", names_and_sizes(image.path for image in dataset.images))


def scored_data(part: Truth, ground_truth: Path) -> dict[str, str]:
    """Return the part of a data set that an evaluation reads.

    Args:
        part: what the metric is scored against.
        ground_truth: annotations, or the folder of Cityscapes.
    """
    if part == "val_label_images":
        return _part(part, val_label_images(ground_truth))
    return _part(part, file_fingerprint(ground_truth))


def file_fingerprint(path: Path) -> str:
    """Return the first digits of a file's SHA-256."""
    return file_sha256(path)[:_DIGITS]


def annotated_images(annotations: Path, dataset: CocoDataset) -> str:
    """Return a digest of annotations and of the images that they list."""
    images = names_and_sizes(image.path for image in dataset.images)
    return digest([file_fingerprint(annotations), images])


def labelled_images(dataset: Any) -> str:
    """Return a digest of the photographs and label images of `LabelledImages`."""
    return names_and_sizes(p for image in dataset.images for p in (image.path, image.labels))


def val_label_images(root: Path) -> str:
    """Return a digest of Cityscapes' label images of the split val, of both kinds that are read.

    detectron2 has its users make labelTrainIds in the same folder. A generated folder comes with
    those, and finished runs have recorded its digest with them.
    """
    kinds = ["instanceIds", "labelIds"]
    if (root / GENERATED_RECORD).is_file():
        kinds.append("labelTrainIds")
    folder = root / "gtFine" / "val"
    return names_and_sizes(path for kind in kinds for path in folder.glob(f"*/*_gtFine_{kind}.png"))


def _part(part: Part, fingerprint: str) -> dict[str, str]:
    return {"part": part, "fingerprint": fingerprint}
