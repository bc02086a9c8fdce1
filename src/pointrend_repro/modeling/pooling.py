"""RoI features of boxes, cropped from a feature pyramid (detectron2's ROIPooler).

Source: detectron2 commit 02b5c4e2, modeling/poolers.py.
"""

from typing import Protocol

import torch
from torch import Tensor
from torchvision.ops import roi_align

from pointrend_repro.modeling.backbone import STRIDES
from pointrend_repro.modeling.boxes import is_being_exported
from pointrend_repro.modeling.roi_rows import roi_align_rows

_LEVELS = ("p2", "p3", "p4", "p5")
# A box of this side belongs to p4 (FPN, section 4.2).
_CANONICAL_SIDE_PX = 224
_CANONICAL_LEVEL = 4


class RoiLayer(Protocol):
    """A detector's RoI layer, as its heads call it: crops the features of boxes."""

    def __call__(
        self, features: dict[str, Tensor], boxes: list[Tensor], resolution: int, /
    ) -> Tensor:
        """Return RoI features (R, C, S, S), in the order of the boxes of all images.

        Args:
            features: maps of a batch by name, each (N, C, H, W).
            boxes: N tensors (R_n, 4), xyxy in image pixels.
            resolution: side S of the result.
        """
        ...


def pool_rois(features: dict[str, Tensor], boxes: list[Tensor], resolution: int) -> Tensor:
    """Crop each box from the pyramid level that fits its size.

    RoIAlign is the aligned kind (a pixel's centre is at +0.5), with as many samples per bin as the
    bin covers cells; torchvision's own pooler does neither.

    Args:
        features: feature maps p2 to p5, each (N, C, H, W).
        boxes: N tensors (R_n, 4), xyxy in image pixels.
        resolution: side S of the result.

    Returns:
        (R, C, S, S), in the order of the boxes of all images.
    """
    rois = with_batch_index(boxes)
    levels = _levels_of(rois[:, 1:])
    of_level = [torch.nonzero(levels == level).squeeze(1) for level in range(2, 6)]
    crops = [
        _align_rois(features[name], rois[here], resolution, STRIDES[name])
        for name, here in zip(_LEVELS, of_level, strict=True)
    ]
    return torch.cat(crops)[torch.cat(of_level).argsort()]


def _align_rois(feature: Tensor, rois: Tensor, resolution: int, stride: int) -> Tensor:
    """The same numbers in two ways: torchvision's for GPUs and for export to other runtimes."""
    if feature.device.type == "cpu" and not is_being_exported() and len(rois):
        return roi_align_rows(feature, rois, resolution, stride)
    return roi_align(feature, rois, resolution, 1 / stride, sampling_ratio=0, aligned=True)


def with_batch_index(boxes: list[Tensor]) -> Tensor:
    """Return (R, 5): each box with its image's number in front, as torchvision's ops expect it."""
    numbers = [b.new_full((b.shape[0], 1), float(i)) for i, b in enumerate(boxes)]
    return torch.cat([torch.cat(numbers), torch.cat(boxes)], dim=1)


def _levels_of(boxes: Tensor) -> Tensor:
    side = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).clamp(min=0).sqrt()
    level = torch.floor(_CANONICAL_LEVEL + torch.log2(side / _CANONICAL_SIDE_PX + 1e-8))
    return level.clamp(2, 5).to(torch.int64)
