"""For each annotated object, the mask that overlaps it most among those of all windows.

Table 1 of SharpMask measures masks without scores: "AR for densely computed masks", ten thousand of
an image. The bound is reached by the best mask of each object, so no other is kept. The ground
truth chooses here: these are no proposals.

pycocotools matches one mask to one object, in the order of scores. With the IoU as score, each
object gets its own mask, so that recall of these few is the share of objects whose best IoU reaches
a threshold; what overlaps by less than half counts at none, and is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import ImageRecord
from pointrend_repro.data.segmentations import segmentation_mask
from pointrend_repro.modeling.deepmask.pasting import window_pixels
from pointrend_repro.modeling.deepmask.windows import boxes_of, find_windows, masks_of
from pointrend_repro.modeling.paste import MaskWindow
from pointrend_repro.settings.deepmask_inference import DeepMaskInferenceSettings

# The lowest threshold of COCO's average recall.
LOWEST_IOU = 0.5

_Mask = NDArray[np.bool_]


@dataclass
class _Object:
    """An object's pixels, columns first, (W, H), and the best mask for it so far."""

    columns: _Mask
    area: int
    best: MaskWindow | None = None
    best_iou: float = 0.0

    def see(self, window: MaskWindow, area: int) -> None:
        """Keep a mask of this many pixels if none before overlaps the object more."""
        width, height = window.columns.shape
        there = self.columns[window.left : window.left + width, window.top : window.top + height]
        shared = int(np.count_nonzero(there & window.columns))
        iou = shared / (self.area + area - shared)
        if iou > self.best_iou:
            self.best, self.best_iou = window, iou


def best_masks(
    saved: SavedModel,
    image: Tensor,
    record: ImageRecord,
    settings: DeepMaskInferenceSettings,
) -> Iterator[tuple[float, MaskWindow]]:
    """Yield the best mask of each object with its IoU, at least 0.5, in pixels of the image.

    Masks are made and compared a few at a time, and only in windows that hold half of an object.

    Args:
        saved: the model, in evaluation mode.
        image: (3, H', W'), as the model is to see it, on its device.
        record: with the size (H, W) of the image on disk, and its objects.
        settings: sizes, and how masks are made.
    """
    height, width = record.height, record.width
    objects = list(_objects(record))
    if not objects:
        return
    windows = find_windows(saved.model, image, settings, at_most=None)
    scale = torch.tensor([width / image.shape[2], height / image.shape[1]], dtype=torch.float64)
    boxes = boxes_of(saved.model, windows).cpu() * scale.repeat(2)
    shares = np.stack([_share_inside(each, boxes.numpy()) for each in objects], axis=1)
    kept = np.flatnonzero((shares >= LOWEST_IOU).any(axis=1))
    chosen = windows.select(torch.from_numpy(kept).to(windows.levels.device))
    boxes, shares = boxes[kept], shares[kept]
    for step, logits in masks_of(saved.model, chosen, settings):
        for mask, box, share in zip(logits, boxes[step], shares[step], strict=True):
            # No mask overlaps an object by more than the share of the object in its window.
            hopeful = [o for o, most in zip(objects, share, strict=True) if most > o.best_iou]
            if not hopeful:
                continue
            window = window_pixels(mask, box, height, width, threshold=settings.mask_threshold)
            area = int(np.count_nonzero(window.columns))
            for each in hopeful:
                each.see(window, area)
    for each in objects:
        if each.best is not None and each.best_iou >= LOWEST_IOU:
            yield each.best_iou, each.best


def _objects(record: ImageRecord) -> Iterator[_Object]:
    for annotation in record.annotations:
        if not annotation.is_crowd:
            mask = segmentation_mask(annotation.segmentation, record.height, record.width)
            if mask.any():
                yield _Object(np.ascontiguousarray(mask.T), int(np.count_nonzero(mask)))


def _share_inside(each: _Object, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of an object's pixels in each box, (R, 4) xyxy, and a little around it."""
    sums = np.pad(each.columns.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    width, height = each.columns.shape
    x0, y0 = (
        np.clip(np.floor(boxes[:, k]), 0, n).astype(int) for k, n in ((0, width), (1, height))
    )
    x1, y1 = (np.clip(np.ceil(boxes[:, k]), 0, n).astype(int) for k, n in ((2, width), (3, height)))
    x1, y1 = np.maximum(x0, x1), np.maximum(y0, y1)
    inside: NDArray[np.int64] = sums[x1, y1] - sums[x0, y1] - sums[x1, y0] + sums[x0, y0]
    return inside / each.area
