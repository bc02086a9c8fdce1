"""From a record of the data set to the network's input: resizing, flipping, and masks.

The steps are detectron2's (commit 02b5c4e2, data/dataset_mapper.py): the image is resized by
Pillow's bilinear filter, polygons are scaled analytically and drawn at the new size.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pointrend_repro.data.coco import Annotation, ImageRecord
from pointrend_repro.data.drawn import object_fault
from pointrend_repro.data.images import open_record, planes
from pointrend_repro.data.segmentations import (
    SegmentationWindow,
    segmentation_mask,
    segmentation_window,
)
from pointrend_repro.data.structures import Target
from pointrend_repro.settings.schedule import InputSettings


def resized_size(height: int, width: int, *, short_edge_px: int, max_px: int) -> tuple[int, int]:
    """Return (height, width) with the shorter side at `short_edge_px`, the longer at most `max_px`.

    No side becomes less than one pixel, however elongated the image is.
    """
    # detectron2's arithmetic step by step: in another order some halves round differently.
    short, long = float(short_edge_px), short_edge_px / min(height, width) * max(height, width)
    shrink = min(max_px / max(short, long), 1.0)
    new_short, new_long = (max(int(side * shrink + 0.5), 1) for side in (short, long))
    return (new_short, new_long) if height < width else (new_long, new_short)


def draw_short_edge(settings: InputSettings, rng: np.random.Generator) -> int:
    """Draw the side in pixels to which a training image's shorter side is resized."""
    if settings.train_short_edge_range_px is None:
        return int(rng.choice(settings.train_short_edges_px))
    return int(rng.integers(*settings.train_short_edge_range_px, endpoint=True))


def resize_image(image: Image.Image, height: int, width: int) -> Tensor:
    """Resize an RGB image to (3, height, width) uint8."""
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(planes(np.asarray(resized)))


def inference_image(image: NDArray[np.uint8], settings: InputSettings) -> Tensor:
    """Resize an RGB image (H, W, 3) to its size for inference, (3, H', W') uint8."""
    height, width = resized_size(
        image.shape[0],
        image.shape[1],
        short_edge_px=settings.test_short_edge_px,
        max_px=settings.max_long_edge_px,
    )
    return resize_image(Image.fromarray(image), height, width)


def read_record(record: ImageRecord) -> NDArray[np.uint8]:
    """Read a record's image, RGB (H, W, 3).

    Raises:
        UserError: the image cannot be read, or its size differs from its record's.
    """
    return np.array(open_record(record))


def training_example(
    record: ImageRecord,
    settings: InputSettings,
    rng: np.random.Generator,
    proposals: NDArray[np.float32] | None = None,
) -> tuple[Tensor, Target]:
    """Read one image with its objects, and augment both (supplement, section 1).

    Crowd regions are dropped, and so are objects of which nothing is left after resizing, and those
    that `data.check` says are not used: without a usable mask at the size of their image.

    Args:
        proposals: (P, 4), xyxy in pixels of the image, to become those of the target.

    Returns:
        The image, (3, H, W) uint8 RGB, and its target at the same size.

    Raises:
        UserError: the image cannot be read, or its size differs from its record's.
    """
    image = open_record(record)
    height, width = resized_size(
        record.height,
        record.width,
        short_edge_px=draw_short_edge(settings, rng),
        max_px=settings.train_max_long_edge_px or settings.max_long_edge_px,
    )
    tensor = resize_image(image, height, width)
    flip = bool(rng.random() < settings.flip_probability)
    target = _target(record, height, width, flip=flip)
    if proposals is not None:
        size = (record.height, record.width)
        moved = move_boxes(proposals, size, (height, width), flip=flip)
        target = replace(target, proposals=torch.from_numpy(moved))
    return (tensor.flip(2) if flip else tensor), target


def move_boxes(
    boxes: NDArray[np.float32], old: tuple[int, int], new: tuple[int, int], *, flip: bool = False
) -> NDArray[np.float32]:
    """Return boxes (P, 4), xyxy, of a resized image, mirrored or not; those without area go.

    Args:
        old: (height, width) of the image in whose pixels `boxes` are.
        new: (height, width) of the image in whose pixels they are to be.
    """
    edges = np.array([new[1], new[0], new[1], new[0]], dtype=np.float64)
    moved = np.clip(boxes * (edges / [old[1], old[0], old[1], old[0]]), 0, edges)
    if flip:
        moved[:, [0, 2]] = new[1] - moved[:, [2, 0]]
    has_area = (moved[:, 2] > moved[:, 0]) & (moved[:, 3] > moved[:, 1])
    return moved[has_area].astype(np.float32)


def _target(record: ImageRecord, height: int, width: int, *, flip: bool) -> Target:
    scale = np.array([width / record.width, height / record.height])
    boxes, labels, windows, points = [], [], [], []
    for annotation in record.annotations:
        if annotation.is_crowd or object_fault(annotation, record) is not None:
            continue
        x0, y0, x1, y1 = np.array(annotation.box) * np.tile(scale, 2)
        x0, x1 = np.clip([x0, x1], 0, width)
        y0, y1 = np.clip([y0, y1], 0, height)
        window = _resized_window(annotation, record, scale, (height, width))
        if x1 <= x0 or y1 <= y0 or not window.pixels.any():
            continue
        boxes.append([width - x1, y0, width - x0, y1] if flip else [x0, y0, x1, y1])
        labels.append(annotation.label)
        windows.append(window)
        points.append(annotation.keypoints)
    return Target(
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.int64),
        masks=torch.from_numpy(_masks(windows, height, width, flip=flip)),
        keypoints=_keypoints(points, record, (height, width), flip=flip),
    )


def _keypoints(
    points: list[tuple[float, ...] | None],
    record: ImageRecord,
    size: tuple[int, int],
    *,
    flip: bool,
) -> Tensor | None:
    """Return keypoints (G, K, 3) of a resized image, mirrored or not, in the frame of boxes.

    A pixel's index stands for its centre, half a pixel further in that frame (detectron2,
    data/datasets/coco.py). Those that are not labelled are zeros.
    """
    definition = record.keypoints
    if definition is None:
        return None
    found = np.zeros((len(points), len(definition.names), 3))
    for row, values in zip(found, points, strict=True):
        if values is not None:
            row[:] = np.reshape(values, row.shape)
    height, width = size
    moved = (found[..., :2] + 0.5) * [width / record.width, height / record.height]
    found[..., :2] = np.clip(moved, 0, [width, height])
    if flip:
        found[..., 0] = width - found[..., 0]
        found = found[:, definition.mirrored]
    found[found[..., 2] == 0] = 0
    return torch.from_numpy(found.astype(np.float32))


def _masks(
    windows: list[SegmentationWindow], height: int, width: int, *, flip: bool
) -> NDArray[np.bool_]:
    """Paste windows into masks (G, height, width), mirrored or not."""
    masks = np.zeros((len(windows), height, width), dtype=bool)
    for mask, window in zip(masks, windows, strict=True):
        upright = mask[:, ::-1] if flip else mask
        rows, columns = window.pixels.shape
        left = window.left
        upright[window.top : window.top + rows, left : left + columns] = window.pixels
    return masks


def _resized_window(
    annotation: Annotation, record: ImageRecord, scale: NDArray[np.float64], size: tuple[int, int]
) -> SegmentationWindow:
    if isinstance(annotation.segmentation, list):
        # Polygons keep their sub-pixel outline if their vertices are scaled before drawing.
        polygons = [
            (np.array(p).reshape(-1, 2) * scale).ravel().tolist() for p in annotation.segmentation
        ]
        return segmentation_window(polygons, *size)
    mask = segmentation_mask(annotation.segmentation, record.height, record.width)
    resized = Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST)
    return SegmentationWindow(np.array(resized), 0, 0)
