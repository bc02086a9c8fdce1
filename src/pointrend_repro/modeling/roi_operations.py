"""How the features of a box are cropped from one map (Mask R-CNN 1703.06870, section 3, Table 2c).

| layer | the box | a bin |
|---|---|---|
| RoIPool | rounded to whole cells | rounded to whole cells, the largest of which counts |
| RoIWarp | rounded like RoIPool's | bilinear samples, their largest or their mean |
| RoIAlign | as it is | bilinear samples, their largest or their mean |

RoIWarp is of Dai et al. (1512.04412). No library has it, and Mask R-CNN says only that it is
"quantizing RoI just like RoIPool": here it is RoIAlign on the cells that RoIPool takes.

Boxes are in continuous coordinates, where the first cell's centre is at +0.5 (detectron2's aligned
RoIAlign). Rounding to cells is Caffe's, of which torchvision's RoIPool is a copy.
"""

from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align, roi_pool

from pointrend_repro.modeling.boxes import is_being_exported
from pointrend_repro.modeling.roi_rows import roi_align_rows
from pointrend_repro.settings.instances import RoiLayerSettings


class RoiOperation(Protocol):
    """Crops boxes from one map."""

    def __call__(self, feature: Tensor, rois: Tensor, resolution: int, stride: int, /) -> Tensor:
        """Return RoI features (R, C, S, S).

        Args:
            feature: (N, C, H, W).
            rois: (R, 5), the image's number and xyxy in image pixels.
            resolution: side S of the result.
            stride: image pixels per cell.
        """
        ...


def roi_operation(settings: RoiLayerSettings) -> RoiOperation:
    """Return the operation that the settings name."""
    if settings.kind == "roi_pool":
        return _pool
    ratio = settings.sampling_ratio
    sampled: RoiOperation
    if settings.aggregation == "max":
        sampled = partial(_largest_samples, sampling_ratio=ratio)
    else:
        sampled = partial(_mean_samples, sampling_ratio=ratio)
    return partial(_warp, sampled) if settings.kind == "roi_warp" else sampled


def _mean_samples(
    feature: Tensor, rois: Tensor, resolution: int, stride: int, *, sampling_ratio: int
) -> Tensor:
    # The same numbers in two ways: torchvision's for GPUs and for export to other runtimes.
    on_rows = feature.device.type == "cpu" and not is_being_exported() and len(rois)
    if on_rows and sampling_ratio == 0:
        return roi_align_rows(feature, rois, resolution, stride)
    return roi_align(feature, rois, resolution, 1 / stride, sampling_ratio, aligned=True)


def _largest_samples(
    feature: Tensor, rois: Tensor, resolution: int, stride: int, *, sampling_ratio: int
) -> Tensor:
    """Take each sample as a bin of its own, and then the largest of every bin's samples."""
    side = resolution * sampling_ratio
    samples = roi_align(feature, rois, side, 1 / stride, sampling_ratio=1, aligned=True)
    return F.max_pool2d(samples, sampling_ratio)


def _pool(feature: Tensor, rois: Tensor, resolution: int, stride: int) -> Tensor:
    return roi_pool(feature, rois, resolution, 1 / stride)


def _warp(
    sampled: RoiOperation, feature: Tensor, rois: Tensor, resolution: int, stride: int
) -> Tensor:
    return sampled(feature, cells_of_roi_pool(rois, stride), resolution, 1)


def cells_of_roi_pool(rois: Tensor, stride: int) -> Tensor:
    """Return the cells that RoIPool takes for each box, as boxes in cells.

    Both corners are rounded, halves away from zero, and both of their cells belong to the box,
    which has at least one.

    Args:
        rois: (R, 5), the image's number and xyxy in image pixels.

    Returns:
        (R, 5), the image's number and xyxy in cells, where cell i reaches from i to i + 1.
    """
    numbers, corners = rois[:, :1], rois[:, 1:] / stride
    whole = corners.trunc()
    rounded = whole + ((corners - whole).abs() >= 0.5) * corners.sign()
    first, last = rounded[:, :2], rounded[:, 2:]
    return torch.cat([numbers, first, torch.maximum(last, first) + 1], dim=1)
