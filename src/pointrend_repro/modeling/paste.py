"""From a mask over a box to a mask over the image, by sampling at pixel centres.

The box stays in real coordinates: pixel (i, j) is foreground when the mask, interpolated at the
pixel's centre (j + 0.5, i + 0.5), is at least one half. So does detectron2 (commit 02b5c4e2,
layers/mask_ops.py); torchvision rounds the box to whole pixels instead, which moves boundaries.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_THRESHOLD = 0.5


def paste_mask(logits: Tensor, box: Tensor, height: int, width: int) -> NDArray[np.bool_]:
    """Paste one mask into an image.

    Args:
        logits: (M, M), over the box; probabilities, not logits, are interpolated.
        box: (4,), xyxy in pixels of the image.
        height: of the image.
        width: of the image.

    Returns:
        (height, width) bool.
    """
    image = np.zeros((height, width), dtype=bool)
    x0, y0, x1, y1 = box.tolist()
    # One pixel around the box: interpolation reaches half a mask cell beyond it.
    left, right = max(math.floor(x0) - 1, 0), min(math.ceil(x1) + 1, width)
    top, bottom = max(math.floor(y0) - 1, 0), min(math.ceil(y1) + 1, height)
    if right <= left or bottom <= top or x1 <= x0 or y1 <= y0:
        return image
    x = (torch.arange(left, right, device=box.device) + 0.5 - x0) / (x1 - x0) * 2 - 1
    y = (torch.arange(top, bottom, device=box.device) + 0.5 - y0) / (y1 - y0) * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None].to(logits.dtype)
    inside = F.grid_sample(logits.sigmoid()[None, None], grid, align_corners=False)[0, 0]
    image[top:bottom, left:right] = (inside >= _THRESHOLD).cpu().numpy()
    return image
