"""Splits of a data set, read for models of objects and of label maps, and what trains on them."""

from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco import CocoDataset, ImageRecord, read_coco
from pointrend_repro.data.keypoints import (
    KeypointDefinition,
    require_keypoints,
    shared_definition,
)
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.data.prepared import require_up_to_date
from pointrend_repro.data.semantic import LabelledImage, LabelledImages, read_labelled_images
from pointrend_repro.settings.instances import TrainingSettings
from pointrend_repro.settings.of_family import AnyTrainingSettings
from pointrend_repro.settings.values import Split


def read_instances(data: DataPaths, split: Split) -> CocoDataset:
    """Read images and their objects.

    Raises:
        UserError: a file is missing or faulty, or `data prepare` should be run again for train.
    """
    if split == "train":
        require_up_to_date(data, data.train_annotations)
        return read_coco(data.train_images, data.train_annotations)
    return read_coco(data.val_images, data.val_annotations)


def has_object(image: ImageRecord, settings: AnyTrainingSettings) -> bool:
    """Return whether an image has what a model learns; others are left out of training.

    As in detectron2, which is an object, and for keypoints an object with one that is labelled.
    """
    objects = [annotation for annotation in image.annotations if not annotation.is_crowd]
    if _learns_keypoints(settings) or getattr(settings.input, "only_with_keypoints", False):
        return any(annotation.keypoints is not None for annotation in objects)
    return bool(objects)


def _learns_keypoints(settings: AnyTrainingSettings) -> bool:
    return getattr(settings.model, "keypoint_head", None) is not None


def learned_keypoints(dataset: Any, settings: AnyTrainingSettings) -> KeypointDefinition | None:
    """Return which keypoints a model finds that is trained on a data set; None: it finds none."""
    return shared_definition(dataset.categories) if _learns_keypoints(settings) else None


def require_keypoints_of_head(
    dataset: CocoDataset, settings: TrainingSettings, *, file: Path
) -> None:
    """Refuse a data set without the keypoints that a model, or its recipe, asks for.

    Raises:
        UserError: there are none, others than the keypoint head has, or none is labelled.
    """
    head = settings.model.keypoint_head
    if head is None and not settings.input.only_with_keypoints:
        return
    definition = require_keypoints(dataset.categories, file=file)
    if head is not None and head.num_keypoints != len(definition.names):
        raise UserError(
            f"{file}: its objects have {len(definition.names)} keypoints, but the model's "
            f"keypoint_head has num_keypoints {head.num_keypoints}; give both the same number"
        )
    if not any(has_object(image, settings) for image in dataset.images):
        raise UserError(f"{file}: no object has a labelled keypoint; there is nothing to learn")


def objects(image: ImageRecord) -> Any:
    """Return the part of an image and its objects that decides the weights, as JSON."""
    found = [image.id, [(a.label, a.is_crowd, *a.box) for a in image.annotations]]
    points = [a.keypoints for a in image.annotations]
    if image.keypoints is not None and any(points):
        found += [points, image.keypoints.flip_pairs]
    return found


def read_labels(data: DataPaths, split: Split) -> LabelledImages:
    """List the images, and where the labels of their pixels lie."""
    return read_labelled_images(data.root, split)


def label_file(image: LabelledImage) -> Any:
    """Return the part of an image and its labels that decides the weights, as JSON."""
    # Reading the labels of 2975 images at the start of a training would take a minute.
    return [image.id, image.labels.stat().st_size]
