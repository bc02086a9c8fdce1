"""Runs SOLOv2 on one image, or on a data set into COCO's results format.

A mask is predicted over the whole image, at a quarter of the network's input. It is enlarged as in
mmdetection: to the input, and from there to the image, bilinearly each time. Only the part around
cells that are foreground is enlarged, since nothing outside it can be.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset, ImageRecord
from pointrend_repro.data.examples import inference_image, read_record
from pointrend_repro.modeling.paste import MaskWindow
from pointrend_repro.modeling.precision import computing_in
from pointrend_repro.modeling.solov2.targets import MASK_STRIDE
from pointrend_repro.predictions.image_steps import Steps
from pointrend_repro.predictions.in_parts import ALONE, LIST, Work, write_in_parts
from pointrend_repro.predictions.instances import Instances, require_same_categories
from pointrend_repro.predictions.rle import encode_window
from pointrend_repro.settings.at_test import input_at_test
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.solov2 import SoloInferenceSettings

# Cells around the foreground that bilinear interpolation can read beside it.
_MARGIN = 2


class WholeMask(NamedTuple):
    """One object: its score, its class, and its pixels, of which there is one at least."""

    score: float
    label: int
    window: MaskWindow


def predict_image(
    saved: SavedModel, image: NDArray[np.uint8], settings: SoloInferenceSettings
) -> Instances:
    """Find the objects in one RGB image, (H, W, 3) uint8; boxes are tight around masks."""
    height, width = image.shape[:2]
    found = list(find_masks(saved, image, settings))
    masks = np.zeros((len(found), height, width), dtype=bool)
    for mask, each in zip(masks, found, strict=True):
        each.window.draw(mask)
    boxes = np.array([each.window.box for each in found], dtype=np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Instances(
        boxes=boxes,
        scores=np.array([each.score for each in found], dtype=np.float32),
        labels=np.array([each.label for each in found], dtype=np.int64),
        masks=masks,
    )


def write_results(
    saved: SavedModel,
    dataset: CocoDataset,
    settings: SoloInferenceSettings,
    path: Path,
    work: Work = ALONE,
) -> None:
    """Predict every image of a data set and write COCO results as a JSON list.

    Their `bbox` is tight around the mask.

    Raises:
        UserError: the data set's categories are not those that the model was trained for, or an
            image cannot be read or its size differs from its record's.
    """
    require_same_categories(saved, dataset)

    def find(record: ImageRecord, seen: Tensor) -> "_Found":
        return _find(saved, seen, (record.height, record.width), settings, record.id)

    categories = [category for category, _ in saved.categories]
    entries = partial(_results, categories=categories, threshold=settings.mask_threshold)
    read = partial(_read, size=input_at_test(saved.input, settings.test))
    write_in_parts(path, dataset.images, Steps(read, find, entries), LIST, work)


class _Found(NamedTuple):
    """What is found in an image, (H, W) on disk, that is seen as (H', W'), on the CPU."""

    image_id: int
    sizes: tuple[tuple[int, int], tuple[int, int]]  # seen, and on disk
    scores: Tensor
    labels: Tensor
    probabilities: Tensor


def _read(record: ImageRecord, size: InputSettings) -> Tensor:
    return inference_image(read_record(record), size)


def _find(
    saved: SavedModel,
    seen: Tensor,
    size: tuple[int, int],
    settings: SoloInferenceSettings,
    image_id: int = 0,
) -> _Found:
    device = saved.model.backbone.pixel_mean.device
    with computing_in(settings.test.precision, device):
        (found,) = saved.model.detect([seen.to(device)], settings)
    sizes = (seen.shape[1], seen.shape[2]), size
    parts = found.scores, found.labels, found.probabilities
    return _Found(image_id, sizes, *(part.cpu() for part in parts))


def _results(found: _Found, categories: list[int], threshold: float) -> list[dict[str, Any]]:
    height, width = found.sizes[1]
    return [
        {
            "image_id": found.image_id,
            "category_id": categories[mask.label],
            "bbox": mask.window.box,
            "score": mask.score,
            "segmentation": encode_window(mask.window, height, width),
        }
        for mask in _masks(found, threshold)
    ]


def _masks(found: _Found, threshold: float) -> Iterator[WholeMask]:
    for score, label, probabilities in zip(
        found.scores.tolist(), found.labels.tolist(), found.probabilities, strict=True
    ):
        window = enlarge(probabilities, *found.sizes, threshold=threshold)
        if window.columns.size:
            yield WholeMask(score, label, window)


def find_masks(
    saved: SavedModel, image: NDArray[np.uint8], settings: SoloInferenceSettings
) -> Iterator[WholeMask]:
    """Yield the objects of an image, highest-scoring first; those without a pixel are left out.

    Args:
        saved: the model, in evaluation mode.
        image: RGB, (H, W, 3) uint8.
        settings: how to predict.
    """
    seen = inference_image(image, input_at_test(saved.input, settings.test))
    found = _find(saved, seen, (image.shape[0], image.shape[1]), settings)
    return _masks(found, settings.mask_threshold)


def enlarge(
    probabilities: Tensor, seen: tuple[int, int], image: tuple[int, int], *, threshold: float
) -> MaskWindow:
    """Enlarge a mask to the image, cut to the pixels between its outermost ones.

    Args:
        probabilities: (h, w), at a quarter of the padded input.
        seen: height and width of the input without padding.
        image: height and width of the image.
        threshold: pixels of higher probability are foreground.

    Returns:
        The mask; without rows and columns if no pixel is in it.
    """
    cells = probabilities > threshold
    if not cells.any():
        return _nothing()
    (top, bottom), (left, right) = (_reach(cells.any(dim=1 - axis)) for axis in (0, 1))
    part = probabilities[top:bottom, left:right]
    size = (part.shape[0] * MASK_STRIDE, part.shape[1] * MASK_STRIDE)
    at_input = F.interpolate(part[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    down = _Taps.of(top * MASK_STRIDE, size[0], seen[0], image[0], probabilities.device)
    across = _Taps.of(left * MASK_STRIDE, size[1], seen[1], image[1], probabilities.device)
    inside = (across.of_rows(down.of_rows(at_input).T) > threshold).cpu().numpy()
    return _cut(inside, across.first, down.first)


class _Taps(NamedTuple):
    """Which rows of a part of the input each row of the image lies between, and how far."""

    first: int  # of the image's rows that the part reaches
    low: Tensor
    high: Tensor
    share: Tensor

    @staticmethod
    def of(start: int, length: int, seen: int, image: int, device: torch.device) -> "_Taps":
        """Take the rows whose centres lie in the part, which begins at `start` of the input."""
        scale = seen / image
        places = (torch.arange(image, device=device, dtype=torch.float64) + 0.5) * scale - 0.5
        places = places.clamp(min=0)
        low = places.long()
        high = (low + 1).clamp(max=seen - 1)
        reached = ((high >= start) & (low < start + length)).nonzero().flatten()
        low, high, share = low[reached], high[reached], (places - low)[reached]
        last = length - 1
        first = int(reached[0]) if len(reached) else 0
        return _Taps(
            first, (low - start).clamp(0, last), (high - start).clamp(0, last), share.float()
        )

    def of_rows(self, values: Tensor) -> Tensor:
        """Interpolate rows of (M, K) linearly at the image's rows, (R, K)."""
        return torch.lerp(values[self.low], values[self.high], self.share[:, None])


def _reach(foreground: Tensor) -> tuple[int, int]:
    """Return the first line of a part with a margin around all foreground lines, and its end."""
    lines = foreground.nonzero().flatten()
    return max(int(lines[0]) - _MARGIN, 0), min(int(lines[-1]) + _MARGIN + 1, len(foreground))


def _cut(inside: NDArray[np.bool_], left: int, top: int) -> MaskWindow:
    """Cut columns (w, h) to the foreground."""
    columns, rows = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if not len(columns):
        return _nothing()
    x, y = int(columns[0]), int(rows[0])
    cut = inside[x : int(columns[-1]) + 1, y : int(rows[-1]) + 1]
    return MaskWindow(left + x, top + y, np.ascontiguousarray(cut))


def _nothing() -> MaskWindow:
    return MaskWindow(0, 0, np.zeros((0, 0), dtype=bool))
