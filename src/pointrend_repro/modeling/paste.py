"""Pastes a mask predicted over a box into the image, by sampling at pixel centres.

The box keeps its real coordinates: pixel (i, j) is foreground when the mask, interpolated at the
pixel's centre (j + 0.5, i + 0.5), is at least one half. detectron2 does the same (commit 02b5c4e2,
layers/mask_ops.py); torchvision rounds the box to whole pixels, which moves boundaries.

Nothing here is as large as the image unless the caller asks for it.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_THRESHOLD = 0.5


@dataclass(frozen=True)
class MaskWindow:
    """The pixels of an image that a mask can reach; all others are background.

    Attributes:
        left: column of the window's first pixel in the image.
        top: row of that pixel.
        columns: (width, height) bool, one column of pixels after another, in the order of COCO's
            run lengths.
    """

    left: int
    top: int
    columns: NDArray[np.bool_]

    @property
    def box(self) -> list[float]:
        """The window as x, y, width and height, in pixels of the image, as COCO's `bbox`."""
        width, height = self.columns.shape
        return [float(self.left), float(self.top), float(width), float(height)]

    def draw(self, image: NDArray[np.bool_]) -> None:
        """Write the window's pixels into a mask of the whole image, (H, W)."""
        width, height = self.columns.shape
        image[self.top : self.top + height, self.left : self.left + width] = self.columns.T


def mask_window(logits: Tensor, box: Tensor, height: int, width: int) -> MaskWindow:
    """Paste one mask into the part of an image that it can reach.

    Args:
        logits: (M, M), over the box; probabilities, not logits, are interpolated.
        box: (4,), xyxy in pixels of the image.
        height: of the image.
        width: of the image.
    """
    x0, y0, x1, y1 = box.tolist()
    # One pixel around the box, since interpolation reaches half a mask cell beyond it.
    left, right = max(math.floor(x0) - 1, 0), min(math.ceil(x1) + 1, width)
    top, bottom = max(math.floor(y0) - 1, 0), min(math.ceil(y1) + 1, height)
    if right <= left or bottom <= top or x1 <= x0 or y1 <= y0:
        return MaskWindow(0, 0, np.zeros((0, 0), dtype=bool))
    grid = logits.new_empty(1, right - left, bottom - top, 2)
    x = (torch.arange(left, right, device=box.device) + 0.5 - x0) / (x1 - x0) * 2 - 1
    y = (torch.arange(top, bottom, device=box.device) + 0.5 - y0) / (y1 - y0) * 2 - 1
    grid[..., 0], grid[..., 1] = x.unsqueeze(1), y
    inside = F.grid_sample(logits.sigmoid()[None, None], grid, align_corners=False)[0, 0]
    return MaskWindow(left, top, (inside >= _THRESHOLD).cpu().numpy())


def paste_mask(logits: Tensor, box: Tensor, height: int, width: int) -> NDArray[np.bool_]:
    """Paste one mask into an image, (height, width) bool; arguments as for `mask_window`."""
    image = np.zeros((height, width), dtype=bool)
    mask_window(logits, box, height, width).draw(image)
    return image
