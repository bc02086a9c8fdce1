"""Proposals of DeepMask and SharpMask: of one image, or of a data set in COCO's results format."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset, ImageRecord
from pointrend_repro.data.examples import read_record, resize_image, resized_size
from pointrend_repro.data.images import planes
from pointrend_repro.data.segmentations import segmentation_mask
from pointrend_repro.modeling.deepmask.pasting import window_pixels
from pointrend_repro.modeling.deepmask.windows import boxes_of, find_windows, masks_of
from pointrend_repro.modeling.paste import MaskWindow
from pointrend_repro.predictions.best_masks import best_masks
from pointrend_repro.predictions.image_steps import Steps
from pointrend_repro.predictions.in_parts import ALONE, LIST, Work, write_in_parts
from pointrend_repro.predictions.rle import encode_window
from pointrend_repro.settings.at_test import SizeAtTest
from pointrend_repro.settings.deepmask_inference import DeepMaskInferenceSettings

# As in the authors' files: of no class.
CATEGORY_ID = 1

_NO_LIMIT = 1 << 30

_Scored = tuple[float, MaskWindow]


@dataclass(frozen=True)
class MaskProposals:
    """Masks that may be of objects of any class, in pixels of one image. R masks, best first.

    Attributes:
        boxes: (R, 4) float32, xyxy, tight around the masks.
        scores: (R,) float32.
        segmentations: R masks as COCO's compressed RLE, since a thousand masks of a photograph
            take many gigabytes.
        size: of the image, (H, W).
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    segmentations: Sequence[dict[str, Any]]
    size: tuple[int, int]

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """All masks, (R, H, W) bool: drawn when first asked for, and kept."""
        masks = np.zeros((len(self.segmentations), *self.size), dtype=bool)
        for mask, segmentation in zip(masks, self.segmentations, strict=True):
            mask[:] = segmentation_mask(segmentation, *self.size)
        return masks

    def best(self, count: int) -> "MaskProposals":
        """Return the best of them, at most `count`."""
        return MaskProposals(
            self.boxes[:count], self.scores[:count], self.segmentations[:count], self.size
        )


def predict_image(
    saved: SavedModel, image: NDArray[np.uint8], settings: DeepMaskInferenceSettings
) -> MaskProposals:
    """Propose masks in one RGB image, (H, W, 3) uint8.

    Raises:
        UserError: the settings choose masks by annotated objects, and there are none.
    """
    if settings.keep == "best_for_objects":
        raise UserError("keep best_for_objects: needs a data set, whose annotated objects choose")
    size = (image.shape[0], image.shape[1])
    boxes, scores, segmentations = [], [], []
    for score, window in propose(saved, image, settings):
        x, y, width, height = window.box
        boxes.append([x, y, x + width, y + height])
        scores.append(score)
        segmentations.append(encode_window(window, *size))
    return MaskProposals(
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        np.array(scores, dtype=np.float32),
        segmentations,
        size,
    )


def write_proposals(
    saved: SavedModel,
    dataset: CocoDataset,
    settings: DeepMaskInferenceSettings,
    path: Path,
    work: Work = ALONE,
) -> None:
    """Predict every image of a data set, whatever its classes are, and write a JSON list.

    Its entries are COCO results: `image_id`, `category_id` (1), `bbox` (xywh, tight around the
    mask), `score` and `segmentation` (RLE), in pixels of the image on disk.

    Raises:
        UserError: an image cannot be read or its size differs from its record's.
    """
    read = partial(_read, test=settings.test)

    def choose(record: ImageRecord, seen: Tensor) -> tuple[ImageRecord, list[_Scored]]:
        # Here, since masks of thousands of windows are compared as they are made.
        device = saved.model.backbone.pixel_mean.device
        return _named(record), list(best_masks(saved, seen.to(device), record, settings))

    def find(record: ImageRecord, seen: Tensor) -> tuple[ImageRecord, _Found]:
        return _named(record), _find(saved, seen, (record.height, record.width), settings)

    if settings.keep == "best_for_objects":
        steps = Steps(read, choose, _entries)
    else:
        steps = Steps(read, find, partial(_results, settings=settings))
    write_in_parts(path, dataset.images, steps, LIST, work)


class _Found(NamedTuple):
    """An image's size (H, W), and its best windows: scores (R,), boxes (R, 4), logits (R, M, M)."""

    size: tuple[int, int]
    scores: Tensor
    boxes: Tensor
    logits: Tensor


def _named(record: ImageRecord) -> ImageRecord:
    """Return a record without its objects, which need not cross to a worker."""
    return replace(record, annotations=())


def _read(record: ImageRecord, test: SizeAtTest) -> Tensor:
    return _as_asked(read_record(record), test)


def _results(
    found: tuple[ImageRecord, _Found], settings: DeepMaskInferenceSettings
) -> list[dict[str, Any]]:
    record, windows = found
    return _entries((record, _masks(windows, settings)))


def _entries(found: tuple[ImageRecord, Iterable[_Scored]]) -> list[dict[str, Any]]:
    record, masks = found
    return [
        {
            "image_id": record.id,
            "category_id": CATEGORY_ID,
            "bbox": window.box,
            "score": score,
            "segmentation": encode_window(window, record.height, record.width),
        }
        for score, window in masks
    ]


def propose(
    saved: SavedModel, image: NDArray[np.uint8], settings: DeepMaskInferenceSettings
) -> Iterator[_Scored]:
    """Yield the masks of an image's best windows with their scores, the highest first.

    A window in whose mask no pixel of the image lies proposes nothing.

    Args:
        saved: the model, in evaluation mode.
        image: RGB, (H, W, 3) uint8.
        settings: how to predict.
    """
    size = (image.shape[0], image.shape[1])
    return _masks(_find(saved, _as_asked(image, settings.test), size, settings), settings)


def _find(
    saved: SavedModel, seen: Tensor, size: tuple[int, int], settings: DeepMaskInferenceSettings
) -> _Found:
    height, width = size
    model = saved.model
    on_device = seen.to(model.backbone.pixel_mean.device)
    windows = find_windows(model, on_device, settings, at_most=settings.proposals)
    scale = torch.tensor([width / seen.shape[2], height / seen.shape[1]], dtype=torch.float64)
    boxes = boxes_of(model, windows).cpu() * scale.repeat(2)
    logits = [logits.cpu() for _, logits in masks_of(model, windows, settings)]
    return _Found(size, windows.scores.cpu(), boxes, torch.cat(logits or [torch.zeros(0, 1, 1)]))


def _masks(found: _Found, settings: DeepMaskInferenceSettings) -> Iterator[_Scored]:
    kept: list[dict[str, Any]] = []
    for score, mask, box in zip(found.scores.tolist(), found.logits, found.boxes, strict=True):
        window = window_pixels(mask, box, *found.size, threshold=settings.mask_threshold)
        if window.columns.size and not _overlaps(window, found.size, kept, settings):
            yield score, window


def _as_asked(image: NDArray[np.uint8], test: SizeAtTest) -> Tensor:
    """Return the image, (3, H, W) uint8, at its own size unless a test asks for another."""
    height, width = image.shape[:2]
    if test.short_edge_px is None and test.max_long_edge_px is None:
        return torch.from_numpy(planes(image))
    size = resized_size(
        height,
        width,
        short_edge_px=test.short_edge_px or min(height, width),
        max_px=test.max_long_edge_px or _NO_LIMIT,
    )
    return resize_image(Image.fromarray(image), *size)


def _overlaps(
    window: MaskWindow,
    size: tuple[int, int],
    kept: list[dict[str, Any]],
    settings: DeepMaskInferenceSettings,
) -> bool:
    """Whether a mask overlaps one that was kept too much; if not, it is kept from now on."""
    if settings.suppressed_above is None:
        return False
    rle = encode_window(window, *size)
    if kept and coco_mask.iou([rle], kept, [0] * len(kept)).max() > settings.suppressed_above:
        return True
    kept.append(rle)
    return False
