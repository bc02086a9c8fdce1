"""Label maps in Cityscapes' colours."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pointrend_repro.data.cityscapes_classes import CLASSES
from pointrend_repro.data.label_images import LabelIds

_LABELS_OPACITY = 0.6
_PALETTE = np.array([each.color for each in CLASSES], dtype=np.uint8)


def colored(train_ids: LabelIds) -> NDArray[np.uint8]:
    """Return a label map (H, W) of train ids in Cityscapes' colours, (H, W, 3)."""
    return _PALETTE[train_ids]


def colored_over(image: NDArray[np.uint8], train_ids: LabelIds) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) tinted by a label map of its own size."""
    tint = Image.fromarray(colored(train_ids))
    return np.array(Image.blend(Image.fromarray(image), tint, _LABELS_OPACITY))
