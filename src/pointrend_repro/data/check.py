"""Checks a data set on disk before anything trains on it, and describes it for the report."""

import logging
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import require_ours
from pointrend_repro.base.json_text import is_finite, shown
from pointrend_repro.base.long_list import read_with_long_list
from pointrend_repro.base.provenance import digest
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.data.box_sizes import box_sizes
from pointrend_repro.data.coco import CocoDataset, read_coco
from pointrend_repro.data.drawn import TOLERATED_SHARE, drawn_faults
from pointrend_repro.data.fetch.catalogue import how_to_fetch
from pointrend_repro.data.fingerprint import (
    annotated_images,
    file_fingerprint,
    file_sha256,
    labelled_images,
    names_and_sizes,
    val_label_images,
)
from pointrend_repro.data.keypoints import shared_definition
from pointrend_repro.data.lvis import describe_lvis
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.data.prepared import changed_source
from pointrend_repro.data.shifted import shift_of_masks
from pointrend_repro.data.splits_apart import require_apart

_log = logging.getLogger(__name__)

_SHOWN = 8  # names in a warning
_NONE = object()


def require_description(output: Path) -> None:
    """Refuse to replace a file that does not hold what `describe_dataset` returns.

    Raises:
        UserError: it is another one.
    """
    require_ours(output, ("dataset", "title", "categories"), "what describes a data set")


def describe_dataset(name: str, config: Dataset, paths: DataPaths) -> dict[str, Any]:
    """Read all annotations of a data set, and count and fingerprint them; count label images.

    Raises:
        UserError: a file is missing or faulty, train and val differ in categories or have the same
            images, the counts are not those of the configuration, too many masks are empty once
            drawn, or LVIS's annotations are not of val.
    """
    _require_folders(name, config, paths)
    train = read_coco(paths.train_images, paths.train_annotations)
    val = read_coco(paths.val_images, paths.val_annotations)
    _require_categories(name, config, train, val, paths)
    require_apart(train, val, paths)
    _require_areas(paths.val_annotations)
    _require_drawn(train, paths.train_annotations)
    _require_drawn(val, paths.val_annotations)
    _warn_of_what_ruins(config, train, paths.train_annotations)
    description = {
        "dataset": name,
        "title": config.title,
        "categories": [c.name for c in train.categories],
        "train": _describe_split(train, paths.train_annotations),
        "val": _describe_split(val, paths.val_annotations),
        "box_sizes": box_sizes(train),
    }
    keypoints = shared_definition(train.categories)
    if keypoints is not None:
        description["keypoints"] = list(keypoints.names)
    fingerprints = _fingerprints(train, val, paths)
    if config.layout == "cityscapes":
        fingerprints["val_label_images"] = val_label_images(paths.root)
    if config.trains_label_maps:
        # This imports torch, which takes longer than checking annotations.
        from pointrend_repro.data.semantic import read_labelled_images

        labelled = read_labelled_images(paths.root, "train")
        description["label_images"] = {
            "train": len(labelled.images),
            "val": len(read_labelled_images(paths.root, "val").images),
        }
        fingerprints["train_labels"] = labelled_images(labelled)
    if paths.lvis_annotations:
        description["lvis"] = describe_lvis(
            config, val, paths.lvis_annotations, paths.val_annotations
        )
        fingerprints["lvis_annotations"] = file_fingerprint(paths.lvis_annotations)
    return description | {"fingerprints": fingerprints}


def _fingerprints(train: CocoDataset, val: CocoDataset, paths: DataPaths) -> dict[str, str]:
    """Return those of the annotations and of val's images.

    Prepared annotations that are out of date have another one, so that numbers made from them are
    marked until the files that they were made of are as they were.
    """
    found = {
        "train": annotated_images(paths.train_annotations, train),
        "val_images": names_and_sizes(image.path for image in val.images),
        "val_annotations": file_fingerprint(paths.val_annotations),
    }
    prepared = {"train": paths.train_annotations, "val_annotations": paths.val_annotations}
    for part, annotations in prepared.items():
        if changed := changed_source(paths, annotations):
            _log.warning("%s: %s", annotations, changed)
            found[part] = digest([found[part], changed])
    return found


def _require_categories(
    name: str, config: Dataset, train: CocoDataset, val: CocoDataset, paths: DataPaths
) -> None:
    if train.categories != val.categories:
        raise UserError(
            f"{paths.val_annotations}: its categories{_or_keypoints(train, val)} are not those of "
            f"{paths.train_annotations}"
        )
    if config.num_classes not in {None, len(train.categories)}:
        raise UserError(
            f"{paths.train_annotations}: has {len(train.categories)} categories, but data set "
            f"{name!r} says num_classes: {config.num_classes}"
        )
    _require_classes(name, config, [c.name for c in train.categories], paths)


def _or_keypoints(train: CocoDataset, val: CocoDataset) -> str:
    either = any(category.keypoints for category in (*train.categories, *val.categories))
    return ", or their keypoints," if either else ""


def _require_folders(name: str, config: Dataset, paths: DataPaths) -> None:
    is_cityscapes = config.layout == "cityscapes"
    if not paths.root.is_dir():
        both = dict.fromkeys(
            [config.train_images, *([] if config.val_from_train else [config.val_images])]
        )
        coco_folders = ", ".join(f"{folder}/" for folder in [*both, "annotations"])
        folders = "leftImg8bit/, gtFine/" if is_cityscapes else coco_folders
        told = f"; {config.obtained}" if config.obtained else how_to_fetch(paths.root)
        raise UserError(
            f"{paths.root}: no such folder; it should hold {config.title}: {folders}{told}"
        )
    if config.is_prepared and not paths.val_annotations.is_file():
        raise UserError(
            f"{paths.val_annotations}: not made yet; run "
            f"`pointrend-repro data prepare --dataset {name}`"
        )


def _require_classes(name: str, config: Dataset, found: list[str], paths: DataPaths) -> None:
    if config.classes is not None and list(config.classes) != found:
        wrong = [f"{a!r} for {b!r}" for a, b in zip(found, config.classes, strict=False) if a != b]
        what = f"the first is {wrong[0]}" if wrong else f"there are {len(found)}"
        raise UserError(
            f"{paths.train_annotations}: its categories by rising id are not the "
            f"{len(config.classes)} `classes` of data set {name!r}: {what}; correct one of the two"
        )


def _require_areas(val_annotations: Path) -> None:
    """The official scorer needs `area`, and would say so only after all training is done.

    It would silently leave out an object whose area is negative. COCO's own may be 0.
    """
    entries = read_with_long_list(val_annotations, "annotations", allow_nan=True)["annotations"]
    areas = [(a["id"], a.get("area", _NONE)) for a in entries]
    lacking = [number for number, area in areas if area is _NONE]
    if lacking:
        raise UserError(
            f"{val_annotations}: annotation {lacking[0]} has no 'area' (annotations without: "
            f"{len(lacking)}); add it, the pixels of the mask: COCO's scorer needs it"
        )
    wrong = [(number, area) for number, area in areas if not is_finite(area) or area < 0]
    if wrong:
        raise UserError(
            f"{val_annotations}: annotation {wrong[0][0]} has area {shown(wrong[0][1])}; "
            f"write the pixels of the mask (annotations with such an area: {len(wrong)})"
        )


def _require_drawn(dataset: CocoDataset, annotations: Path) -> None:
    """Refuse more than a few masks that contain nothing of their object."""
    objects = sum(not a.is_crowd for image in dataset.images for a in image.annotations)
    faults = list(drawn_faults(dataset))
    if not faults:
        return
    image, annotation, fault = faults[0]
    box = [round(side, 2) for side in annotation.box]
    text = (
        f"{annotations}: {len(faults)} of {objects} objects have no mask that can be used, such "
        f"as the one of image {image} with the box {box} (x0, y0, x1, y1), whose mask is {fault}"
    )
    if len(faults) > TOLERATED_SHARE * objects:
        raise UserError(f"{text}; `pointrend-repro data check FOLDER` names them all")
    _log.warning("%s; they are not used in training", text)


def _warn_of_what_ruins(config: Dataset, train: CocoDataset, annotations: Path) -> None:
    """Say before anything is trained what would spoil it without stopping it."""
    if config.generate is not None:
        return
    used = {a.label for image in train.images for a in image.annotations if not a.is_crowd}
    unused = [category.name for k, category in enumerate(train.categories) if k not in used]
    if unused:
        shown = ", ".join(unused[:_SHOWN]) + (", ..." if len(unused) > _SHOWN else "")
        _log.warning(
            "%s: %d of %d classes have no object, so no model can learn them: %s",
            *(annotations, len(unused), len(train.categories), shown),
        )
    shift = shift_of_masks(train)
    if shift is not None:
        _log.warning("%s: %s", annotations, shift)


def _describe_split(dataset: CocoDataset, annotations: Path) -> dict[str, Any]:
    objects = [a for image in dataset.images for a in image.annotations]
    labelled = sum(a.keypoints is not None for a in objects)
    keypoints = {"objects_with_keypoints": labelled} if labelled else {}
    return {
        "images": len(dataset.images),
        "images_without_objects": sum(not image.annotations for image in dataset.images),
        "objects": sum(not a.is_crowd for a in objects),
        "crowd_regions": sum(a.is_crowd for a in objects),
        **keypoints,
        "annotations_sha256": file_sha256(annotations),
    }
