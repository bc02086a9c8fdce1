"""Label maps in Cityscapes' colours."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from PIL import Image

from pointrend_repro.data.cityscapes_classes import CLASSES
from pointrend_repro.data.label_images import LabelIds

_LABELS_OPACITY = 0.6
_LEGEND_PT = 6
_LEGEND_COLUMNS = 8
_PALETTE = np.array([each.color for each in CLASSES], dtype=np.uint8)


def colored(train_ids: LabelIds) -> NDArray[np.uint8]:
    """Return a label map (H, W) of train ids in Cityscapes' colours, (H, W, 3)."""
    return _PALETTE[train_ids]


def colored_over(image: NDArray[np.uint8], train_ids: LabelIds) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) tinted by a label map of its own size."""
    tint = Image.fromarray(colored(train_ids))
    return np.array(Image.blend(Image.fromarray(image), tint, _LABELS_OPACITY))


def add_legend(figure: Figure, train_ids: Iterable[int], ax: Axes | None = None) -> None:
    """Say which colour is which class, for the train ids that a figure shows.

    Args:
        ax: an empty panel for it; none: it stands above the panels.
    """
    patches = [
        Patch(color=tuple(_PALETTE[k] / 255), label=CLASSES[k].name) for k in sorted(train_ids)
    ]
    look = {"handles": patches, "fontsize": _LEGEND_PT, "frameon": False}
    if ax is None:
        figure.legend(loc="outside upper center", ncols=_LEGEND_COLUMNS, **look)
    else:
        ax.legend(loc="center", ncols=2, **look)
