"""Cityscapes' label images: listing them, and turning one into a training crop.

    leftImg8bit/{train,val}/<city>/<city>_<sequence>_<frame>_leftImg8bit.png
    gtFine/{train,val}/<city>/<city>_<sequence>_<frame>_gtFine_labelIds.png

Train ids are looked up from the official ids that gtFine comes with, so the labelTrainIds images of
`csCreateTrainIdLabelImgs`, which hold the same, need not be made.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.cityscapes import (
    TRAIN_CLASSES,
    Split,
    image_files,
    image_size,
    label_files,
)
from pointrend_repro.data.coco import Category
from pointrend_repro.data.color import jitter_colors
from pointrend_repro.data.examples import draw_short_edge, resized_size
from pointrend_repro.data.images import open_rgb, planes
from pointrend_repro.data.label_images import LabelIds, read_label_ids
from pointrend_repro.settings.semantic import SemanticInputSettings

IGNORED = 255

_TRAIN_IDS: LabelIds = np.full(256, IGNORED, dtype=np.uint8)  # by official id
_TRAIN_IDS[[c.id for c in TRAIN_CLASSES]] = np.arange(len(TRAIN_CLASSES), dtype=np.uint8)

# What images are padded with: ImageNet's mean, which the network's normalisation maps to zero, up
# to rounding.
_MEAN_RGB = (124, 116, 104)

_CROP_TRIES = 10  # detectron2's RandomCrop_CategoryAreaConstraint


@dataclass(frozen=True)
class LabelledImage:
    """An image, its label image and their size in pixels; `id` is `<city>_<sequence>_<frame>`."""

    id: str
    path: Path
    labels: Path
    width: int
    height: int


@dataclass(frozen=True)
class LabelledImages:
    """One split of Cityscapes: label k is `categories[k]`, images are sorted by name."""

    categories: tuple[Category, ...]
    images: tuple[LabelledImage, ...]


def read_labelled_images(root: Path, split: Split) -> LabelledImages:
    """List the images of a split with their label images, of which only the headers are read.

    Args:
        root: the folder that holds leftImg8bit/ and gtFine/.
        split: which split.

    Raises:
        UserError: there are none, an image lacks its label image, or their sizes differ.
    """
    label_images = label_files(root, split, "labelIds")
    photographs = image_files(root, split, label_images, "labelIds")
    images = []
    for name, path in label_images.items():
        height, width = image_size(photographs[name])
        if image_size(path) != (height, width):
            raise UserError(
                f"{path}: is not {width}x{height} pixels as {photographs[name]}; unpack both again"
            )
        images.append(LabelledImage(name, photographs[name], path, width, height))
    return LabelledImages(TRAIN_CLASSES, tuple(images))


def read_train_ids(path: Path) -> LabelIds:
    """Read a labelIds image as train ids (H, W): 0 to 18, or 255 where a pixel does not count.

    Raises:
        UserError: it is not a complete image of label ids.
    """
    return np.asarray(cv2.LUT(read_label_ids(path), _TRAIN_IDS), dtype=np.uint8)


def label_ids(train_ids: LabelIds) -> LabelIds:
    """Return the official ids of predicted train ids 0 to 18."""
    return np.array([c.id for c in TRAIN_CLASSES], dtype=np.uint8)[train_ids]


def semantic_example(
    record: LabelledImage, settings: SemanticInputSettings, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Read one image with its labels, and augment both (supplement, section 2).

    In detectron2's order: scale, crop, colours, flip.

    Returns:
        The image, (3, H, W) uint8 RGB, and its train ids, (H, W) uint8, of the size `crop_px`.

    Raises:
        UserError: a file cannot be read, or the two differ in size.
    """
    image, train_ids = open_rgb(record.path), read_train_ids(record.labels)
    height, width = train_ids.shape
    if image.size != (width, height):
        raise UserError(f"{record.labels}: is not of the size of {record.path}; unpack both again")
    size = resized_size(
        height,
        width,
        short_edge_px=draw_short_edge(settings, rng),
        max_px=settings.train_max_long_edge_px or _NO_LIMIT_PX,
    )
    scaled = scaled_labels(train_ids, size)
    corner = choose_crop(scaled, settings.crop_px, settings.crop_bootstrapping, rng)
    crop = scaled.crop(corner, settings.crop_px)
    pixels = crop_of_resized(image, size, corner=corner, crop_size=crop.shape)
    if settings.color_augmentation == "ssd":
        pixels = jitter_colors(pixels, rng)
    channels = planes(pixels)
    if rng.random() < settings.flip_probability:
        channels, crop = channels[:, :, ::-1], crop[:, ::-1]
    return _padded(channels, crop, settings.crop_px)


_NO_LIMIT_PX = 2**31


@dataclass(frozen=True)
class ScaledLabels:
    """A scaled label map of which only crops are ever computed.

    Attributes:
        train_ids: of the image before it was scaled.
        rows: (H,), the row of `train_ids` for each row of the scaled map.
        columns: (W,), its column for each column of the scaled map.
    """

    train_ids: LabelIds
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]

    def crop(self, corner: tuple[int, int], crop_px: tuple[int, int]) -> LabelIds:
        """Return the part right of and below a corner (y, x), of at most the size `crop_px`."""
        (y, x), (height, width) = corner, crop_px
        return self.train_ids[self.rows[y : y + height]].take(self.columns[x : x + width], axis=1)


def scaled_labels(train_ids: LabelIds, size: tuple[int, int]) -> ScaledLabels:
    """Scale a label map to a height and width, as Pillow's nearest neighbour does."""
    rows, columns = (_nearest(a, b) for a, b in zip(train_ids.shape, size, strict=True))
    return ScaledLabels(train_ids, rows, columns)


def _nearest(before: int, after: int) -> NDArray[np.int32]:
    """Ask Pillow which pixel of an axis each pixel of the scaled axis comes from."""
    numbers = Image.fromarray(np.arange(before, dtype=np.int32)[None])
    return np.array(numbers.resize((after, 1), Image.Resampling.NEAREST))[0]


def choose_crop(
    labels: ScaledLabels,
    crop_px: tuple[int, int],
    max_share: float | None,
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Return the upper left corner (y, x) of a random crop.

    Args:
        labels: of the scaled image.
        crop_px: height and width; reduced to those of the image where it is smaller.
        max_share: draw again, ten times at most, while one class has this share or more of the
            crop's labelled pixels (detectron2's SINGLE_CATEGORY_MAX_AREA); none: take the first.
        rng: draws the corners.
    """
    free_y, free_x = (
        max(len(axis) - side, 0)
        for axis, side in zip((labels.rows, labels.columns), crop_px, strict=True)
    )
    for _ in range(_CROP_TRIES):
        y, x = int(rng.integers(free_y + 1)), int(rng.integers(free_x + 1))
        if max_share is None:
            break
        counts = np.bincount(labels.crop((y, x), crop_px).ravel(), minlength=256)
        counts[IGNORED] = 0
        if 0 < counts.max() < max_share * counts.sum():
            break
    return y, x


def crop_of_resized(
    image: Image.Image,
    size: tuple[int, int],
    *,
    corner: tuple[int, int],
    crop_size: tuple[int, ...],
) -> NDArray[np.uint8]:
    """Return a crop of the resized image, without computing the rest of it.

    Args:
        image: RGB.
        size: height and width of the resized image.
        corner: upper left corner (y, x) of the crop in it.
        crop_size: height and width of the crop.
    """
    y, x = corner
    scale_y, scale_x = image.height / size[0], image.width / size[1]
    box = (
        x * scale_x,
        y * scale_y,
        min((x + crop_size[1]) * scale_x, image.width),
        min((y + crop_size[0]) * scale_y, image.height),
    )
    resized = image.resize((crop_size[1], crop_size[0]), Image.Resampling.BILINEAR, box)
    return np.array(resized)


def _padded(
    channels: NDArray[np.uint8], train_ids: LabelIds, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Put image (3, H, W) and labels into the upper left corners of a full-size crop."""
    if train_ids.shape == size:
        whole = (np.ascontiguousarray(each) for each in (channels, train_ids))
        image, target = (torch.from_numpy(each) for each in whole)
        return image, target
    height, width = train_ids.shape
    image = torch.tensor(_MEAN_RGB, dtype=torch.uint8).view(3, 1, 1).repeat(1, *size)
    target = torch.full(size, IGNORED, dtype=torch.uint8)
    image[:, :height, :width] = torch.from_numpy(channels.copy())
    target[:height, :width] = torch.from_numpy(train_ids.copy())
    return image, target
