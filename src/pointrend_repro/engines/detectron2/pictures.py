"""Pictures as detectron2's models get them, read by our reader.

detectron2's own reads 16-bit grey as white and turns a TIFF twice, and its errors are not of one
line. Apart from `records`, since this needs no detectron2.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.data.images import open_sized


def read_pixels(
    path: Path, *, width: int, height: int, order: Literal["RGB", "BGR"]
) -> NDArray[np.uint8]:
    """Read a picture upright, as (H, W, 3) in this order of channels.

    Args:
        width: in pixels, as recorded.
        height: in pixels, as recorded.

    Raises:
        UserError: the picture cannot be read, or is not of that size.
    """
    pixels = np.array(open_sized(path, width=width, height=height))
    return pixels if order == "RGB" else np.ascontiguousarray(pixels[:, :, ::-1])
