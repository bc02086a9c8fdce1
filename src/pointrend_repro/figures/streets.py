"""What Figures 8 and 9 share: the choice of streets, and label maps in Cityscapes' colours."""

import numpy as np
from cityscapesscripts.helpers.labels import trainId2label
from numpy.typing import NDArray
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco import CocoDataset, ImageRecord
from pointrend_repro.data.label_images import LabelIds

STREET_CHOICE = (
    "the validation images with the most annotated objects, the first by name of equal ones"
)

_LABELS_OPACITY = 0.6
_PALETTE = np.array([trainId2label[k].color for k in range(19)], dtype=np.uint8)


def choose_streets(dataset: CocoDataset, count: int) -> list[ImageRecord]:
    """Return up to `count` images, chosen as `STREET_CHOICE` says.

    Raises:
        UserError: there is no validation image.
    """
    if not dataset.images:
        raise UserError("there is no validation image to draw figures of")

    def rank(record: ImageRecord) -> tuple[int, str]:
        return -sum(not annotation.is_crowd for annotation in record.annotations), record.path.name

    return sorted(dataset.images, key=rank)[:count]


def colored(train_ids: LabelIds) -> NDArray[np.uint8]:
    """Return a label map (H, W) of train ids in Cityscapes' colours, (H, W, 3)."""
    return _PALETTE[train_ids]


def colored_over(image: NDArray[np.uint8], train_ids: LabelIds) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) tinted by a label map of its own size."""
    tint = Image.fromarray(colored(train_ids))
    return np.array(Image.blend(Image.fromarray(image), tint, _LABELS_OPACITY))
