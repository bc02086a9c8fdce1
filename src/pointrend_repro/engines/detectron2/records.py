"""Our data sets as input of detectron2's trainer: a list of plain records and a mapper."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetMapper, transforms
from detectron2.projects.point_rend import ColorAugSSDTransform
from detectron2.structures import BoxMode
from numpy.typing import NDArray

from pointrend_repro.data.coco import Annotation, ImageRecord
from pointrend_repro.data.semantic import IGNORED, LabelledImage, read_train_ids
from pointrend_repro.engines.detectron2.left_out import without_faulty
from pointrend_repro.engines.detectron2.pictures import read_pixels


def instance_records(images: Sequence[ImageRecord]) -> list[dict[str, Any]]:
    """Return images with their objects, whose classes are contiguous as in our models."""
    return [
        {
            "file_name": str(image.path),
            "image_id": image.id,
            "height": image.height,
            "width": image.width,
            "annotations": [_object(a, image) for a in image.annotations],
        }
        for image in images
    ]


def semantic_records(images: Sequence[LabelledImage]) -> list[dict[str, Any]]:
    """Return images with the paths of their label images."""
    return [
        {
            "file_name": str(image.path),
            "labels": image.labels,
            "image_id": image.id,
            "height": image.height,
            "width": image.width,
        }
        for image in images
    ]


class InstanceMapper(DatasetMapper):
    """detectron2's own mapper, without objects that our loader leaves out, too.

    It resizes and flips, and makes bit masks, of pictures that our reader reads.
    """

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__(cfg, is_train=True)

    def __call__(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return the record with `image` (3, H, W) uint8 and `instances`.

        Raises:
            UserError: the image cannot be read, or its size differs from its record's.
        """
        example = copy.deepcopy(without_faulty(record))  # it is changed below
        seen = transforms.AugInput(_read(record, self.image_format))
        done = self.augmentations(seen)
        example["image"] = torch.from_numpy(np.ascontiguousarray(seen.image.transpose(2, 0, 1)))
        self._transform_annotations(example, done, seen.image.shape[:2])
        return example


class SemanticMapper:
    """Crops and changes colours as detectron2's PointRend project does to train SemanticFPN.

    Labels are looked up from the official ids, as in `data.semantic`.
    """

    def __init__(self, cfg: CfgNode) -> None:
        size, crop = cfg.INPUT, cfg.INPUT.CROP
        steps: list[Any] = [
            transforms.ResizeShortestEdge(
                size.MIN_SIZE_TRAIN, size.MAX_SIZE_TRAIN, size.MIN_SIZE_TRAIN_SAMPLING
            ),
            transforms.RandomCrop_CategoryAreaConstraint(
                crop.TYPE, crop.SIZE, crop.SINGLE_CATEGORY_MAX_AREA, IGNORED
            ),
        ]
        if size.COLOR_AUG_SSD:
            steps.append(ColorAugSSDTransform(img_format=size.FORMAT))
        if size.RANDOM_FLIP == "horizontal":
            steps.append(transforms.RandomFlip())
        self.augment = transforms.AugmentationList(steps)
        self.format = size.FORMAT

    def __call__(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return the record with `image` (3, H, W) uint8 and `sem_seg` (H, W) int64.

        Raises:
            UserError: the image cannot be read, or its size differs from its record's.
        """
        pixels = _read(record, self.format)
        example = transforms.AugInput(pixels, sem_seg=read_train_ids(record["labels"]))
        self.augment(example)
        image = np.ascontiguousarray(example.image.transpose(2, 0, 1))
        labels = torch.from_numpy(example.sem_seg.astype(np.int64))
        return record | {"image": torch.from_numpy(image), "sem_seg": labels}


def _read(record: dict[str, Any], order: Any) -> NDArray[np.uint8]:
    size = {"width": record["width"], "height": record["height"]}
    return read_pixels(Path(record["file_name"]), **size, order=order)


def _object(annotation: Annotation, image: ImageRecord) -> dict[str, Any]:
    segmentation = annotation.segmentation
    if not isinstance(segmentation, dict):
        segmentation = [list(polygon) for polygon in segmentation]
    elif isinstance(segmentation["counts"], list):
        segmentation = mask_utils.frPyObjects(segmentation, image.height, image.width)
    return {
        "bbox": list(annotation.box),
        "bbox_mode": BoxMode.XYXY_ABS,
        "category_id": annotation.label,
        "segmentation": segmentation,
        "iscrowd": int(annotation.is_crowd),
    }
