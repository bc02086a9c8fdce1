"""Masks as COCO run lengths, encoded from the part of the image that a mask can reach."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pointrend_repro.modeling.paste import MaskWindow


def encode_window(window: MaskWindow, height: int, width: int) -> dict[str, Any]:
    """Encode a mask in an image of height x width pixels as COCO's compressed RLE.

    The result equals pycocotools' for the mask of the whole image, which need not be made.

    Returns:
        `size`, [height, width], and `counts`, text.
    """
    counts = run_lengths(window, height, width)
    rle = coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}


def run_lengths(window: MaskWindow, height: int, width: int) -> NDArray[np.int64]:
    """Return the lengths of alternating runs of background and foreground, column by column.

    The first run is of background, and may be 0.
    """
    columns, rows = window.columns.shape
    # A row of background below the window ends each column's last run, unless the window is as
    # high as the image: then a run continues at the top of the next column.
    stride = rows if rows == height else rows + 1
    pixels = np.zeros(columns * stride + 2, dtype=bool)
    pixels[1:-1].reshape(columns, stride)[:, :rows] = window.columns
    column, row = np.divmod(np.flatnonzero(pixels[1:] != pixels[:-1]), stride)
    starts = (column + window.left) * height + row + window.top
    lengths: NDArray[np.int64] = np.diff(starts, prepend=0, append=height * width)
    return lengths if len(lengths) == 1 or lengths[-1] else lengths[:-1]
