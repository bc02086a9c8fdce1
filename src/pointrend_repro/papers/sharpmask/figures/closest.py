"""The proposal that overlaps each annotated object most, and how pictures show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset, ImageRecord
from pointrend_repro.data.segmentations import segmentation_rle
from pointrend_repro.figures.drawing import (
    COLORS,
    WIDTH_IN,
    new_figure,
    show_mask,
    show_view,
    view_window,
)
from pointrend_repro.figures.objects import CHOICE, ShownObject, choose_objects
from pointrend_repro.figures.of_two import behind_first
from pointrend_repro.predictions.mask_proposals import propose
from pointrend_repro.predictions.rle import encode_window
from pointrend_repro.settings.deepmask_inference import DeepMaskInferenceSettings

MISSED_COLOR = "#D00000"
MATCHED_IOU = 0.5
_SIDE_PX = 480  # at least, of the longer side


@dataclass(frozen=True)
class Closest:
    """An object, and the proposal that overlaps it most.

    Attributes:
        mask: the proposal's, or the object's own if it is missed, (H, W).
        iou: of the two; 0 without any proposal.
    """

    mask: NDArray[np.bool_]
    iou: float

    @property
    def is_missed(self) -> bool:
        """Whether no proposal overlaps the object by more than half."""
        return self.iou <= MATCHED_IOU


def closest(saved: SavedModel, image: NDArray[np.uint8], record: ImageRecord) -> list[Closest]:
    """Return the closest of 1000 proposals for each object of an image, crowds left out."""
    size = record.height, record.width
    windows = propose(saved, image, DeepMaskInferenceSettings())
    masks = [encode_window(window, *size) for _, window in windows]
    found = []
    for annotation in record.annotations:
        if annotation.is_crowd:
            continue
        own = segmentation_rle(annotation.segmentation, *size)
        overlaps = np.reshape(mask_utils.iou(masks, [own], [0]), -1)
        iou = float(overlaps.max(initial=0))
        shown = masks[int(overlaps.argmax())] if iou > MATCHED_IOU else own
        found.append(Closest(np.array(mask_utils.decode(shown), dtype=bool), iou))
    return found


def show_closest(ax: Axes, image: NDArray[np.uint8], found: Sequence[Closest]) -> None:
    """Draw an image with each object's closest mask in a colour of its own, missed ones in red."""
    longer = max(image.shape[:2])
    times = -(-_SIDE_PX // longer)  # whole, so that masks show the pixels that are scored
    show_view(ax, view_window(image, (0, 0, image.shape[1], image.shape[0]), times * longer))
    for number, each in enumerate(found):
        color = MISSED_COLOR if each.is_missed else COLORS[number % len(COLORS)]
        show_mask(ax, each.mask.repeat(times, axis=0).repeat(times, axis=1), color)


def choose_shown(dataset: CocoDataset, images: int, after: int) -> tuple[list[ShownObject], str]:
    """Choose objects in `images` images, behind the `after` first, which another figure shows.

    On a small data set both figures show the same images.

    Returns:
        The objects, and how they are chosen, in words.

    Raises:
        UserError: there is nothing to show.
    """
    shown, but = behind_first(choose_objects(dataset, after + images), after)
    return shown[-images:], CHOICE + but


def image_grid(
    shown: Sequence[ShownObject], *, columns: int, panels_an_image: int = 1
) -> tuple[Figure, NDArray[Any]]:
    """Make a figure with panels for whole images, and its axes (rows, columns), without frames."""
    rows = -(-len(shown) * panels_an_image // columns)
    tall = max(each.record.height / each.record.width for each in shown)
    figure = new_figure(0.2 + rows * WIDTH_IN / columns * tall)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    return figure, axes
