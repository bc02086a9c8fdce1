"""Splits of a data set, read for models of objects and of label maps, and what trains on them."""

from typing import Any

from pointrend_repro.data.coco import CocoDataset, ImageRecord, read_coco
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.data.semantic import LabelledImage, LabelledImages, read_labelled_images
from pointrend_repro.settings.values import Split


def read_instances(data: DataPaths, split: Split) -> CocoDataset:
    """Read images and their objects."""
    if split == "train":
        return read_coco(data.train_images, data.train_annotations)
    return read_coco(data.val_images, data.val_annotations)


def has_object(image: ImageRecord) -> bool:
    """Return whether an image has an object; others are left out of training, as in detectron2."""
    return any(not annotation.is_crowd for annotation in image.annotations)


def objects(image: ImageRecord) -> Any:
    """Return the part of an image and its objects that decides the weights, as JSON."""
    return [image.id, [(a.label, a.is_crowd, *a.box) for a in image.annotations]]


def read_labels(data: DataPaths, split: Split) -> LabelledImages:
    """List the images, and where the labels of their pixels lie."""
    return read_labelled_images(data.root, split)


def label_file(image: LabelledImage) -> Any:
    """Return the part of an image and its labels that decides the weights, as JSON."""
    # Reading the labels of 2975 images at the start of a training would take a minute.
    return [image.id, image.labels.stat().st_size]
