"""What a data set on disk is: checked before anything trains on it, recorded for the report."""

import hashlib
from pathlib import Path
from typing import Any

from pointrend_repro.data.coco import CocoDataset, read_coco
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.data.semantic import read_labelled_images
from pointrend_repro.errors import UserError
from pointrend_repro.files import read_json
from pointrend_repro.schema import Dataset


def describe_dataset(name: str, config: Dataset, paths: DataPaths) -> dict[str, Any]:
    """Read all annotations of a data set, and count and fingerprint them; count label images.

    Raises:
        UserError: a file is missing or faulty, train and val have other categories, or there are
            not as many as the configuration says.
    """
    _require_folders(name, config, paths)
    train = read_coco(paths.train_images, paths.train_annotations)
    val = read_coco(paths.val_images, paths.val_annotations)
    if train.categories != val.categories:
        raise UserError(
            f"{paths.val_annotations}: its categories are not those of {paths.train_annotations}"
        )
    if config.num_classes not in {None, len(train.categories)}:
        raise UserError(
            f"{paths.train_annotations}: has {len(train.categories)} categories, but data set "
            f"{name!r} says num_classes: {config.num_classes}"
        )
    description = {
        "dataset": name,
        "title": config.title,
        "categories": [c.name for c in train.categories],
        "train": _describe_split(train, paths.train_annotations),
        "val": _describe_split(val, paths.val_annotations),
    }
    if config.semantic_recipes:
        description["label_images"] = {
            "train": len(read_labelled_images(paths.root, "train").images),
            "val": len(read_labelled_images(paths.root, "val").images),
        }
    if paths.lvis_annotations:
        description["lvis"] = {
            "images": _count_images(paths.lvis_annotations),
            "sha256": _sha256(paths.lvis_annotations),
        }
    return description


def _require_folders(name: str, config: Dataset, paths: DataPaths) -> None:
    is_cityscapes = config.layout == "cityscapes"
    if not paths.root.is_dir():
        coco_folders = f"{config.train_images}/, {config.val_images}/, annotations/"
        folders = "leftImg8bit/, gtFine/" if is_cityscapes else coco_folders
        raise UserError(f"{paths.root}: no such folder; it should hold {config.title}: {folders}")
    if is_cityscapes and not paths.val_annotations.is_file():
        raise UserError(
            f"{paths.val_annotations}: not made yet; say "
            f"`pointrend-repro data prepare --dataset {name}`"
        )


def _describe_split(dataset: CocoDataset, annotations: Path) -> dict[str, Any]:
    objects = [a for image in dataset.images for a in image.annotations]
    return {
        "images": len(dataset.images),
        "images_without_objects": sum(not image.annotations for image in dataset.images),
        "objects": sum(not a.is_crowd for a in objects),
        "crowd_regions": sum(a.is_crowd for a in objects),
        "annotations_sha256": _sha256(annotations),
    }


def _count_images(lvis_annotations: Path) -> int:
    content = read_json(lvis_annotations)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise UserError(f"{lvis_annotations}: has no list 'images'; give LVIS v0.5 annotations")
    return len(content["images"])


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
