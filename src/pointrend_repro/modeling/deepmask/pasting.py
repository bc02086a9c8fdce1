"""From the logits of a window to pixels of the image.

Logits, not probabilities, are interpolated, at the centres of the image's pixels, and compared
with the logit of the threshold (InferSharpMask.lua:313-332). The authors' code first rounds the
window to whole pixels, downwards, which moves masks by up to a pixel; here it keeps its place.
"""

import math

import numpy as np
import torch
from torch import Tensor

from pointrend_repro.modeling.paste import MaskWindow


def window_pixels(
    logits: Tensor, box: Tensor, height: int, width: int, *, threshold: float
) -> MaskWindow:
    """Paste one window's mask into an image, cut to the pixels between its outermost ones.

    Args:
        logits: (M, M), over the box.
        box: (4,), xyxy in pixels of the image, which it may exceed.
        height: of the image.
        width: of the image.
        threshold: a pixel of higher probability is part of the mask.

    Returns:
        The mask; without rows and columns if no pixel is in it.
    """
    x0, y0, x1, y1 = box.tolist()
    left, across = _sampled(x0, x1, width, logits)
    top, down = _sampled(y0, y1, height, logits)
    # Columns of the image are rows here, as run lengths want them.
    rows = _interpolate(logits.T, across)
    pixels = _interpolate(rows.T, down).T
    inside = (pixels > math.log(threshold / (1 - threshold))).cpu().numpy()
    columns, lines = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if not len(columns):
        return MaskWindow(0, 0, np.zeros((0, 0), dtype=bool))
    first_x, first_y = int(columns[0]), int(lines[0])
    cut = inside[first_x : int(columns[-1]) + 1, first_y : int(lines[-1]) + 1]
    return MaskWindow(left + first_x, top + first_y, np.ascontiguousarray(cut))


def _sampled(start: float, end: float, pixels: int, logits: Tensor) -> tuple[int, Tensor]:
    """Return the first pixel whose centre lies in the box, and where all such are in the logits."""
    first, last = max(math.ceil(start - 0.5), 0), min(math.ceil(end - 0.5), pixels)
    centres = torch.arange(first, max(first, last), device=logits.device, dtype=torch.float64) + 0.5
    cells = logits.shape[0]
    return first, ((centres - start) / (end - start) * cells - 0.5).clamp(0, cells - 1)


def _interpolate(values: Tensor, places: Tensor) -> Tensor:
    """Interpolate rows of (M, K) linearly at R places, (R, K)."""
    low = places.floor().long()
    high = (low + 1).clamp(max=len(values) - 1)
    share = (places - low).to(values.dtype)[:, None]
    return torch.lerp(values[low], values[high], share)
