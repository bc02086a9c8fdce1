"""A detector's RoI layer: which of its maps a box is cropped from. `roi_operations` says how.

Source: detectron2 commit 02b5c4e2, modeling/poolers.py.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pointrend_repro.modeling.backbone import PYRAMID_STRIDES
from pointrend_repro.modeling.boxes import is_being_exported
from pointrend_repro.modeling.roi_operations import RoiOperation, roi_operation
from pointrend_repro.settings.instances import RoiLayerSettings

# A box of this side belongs to p4, the map of this stride (FPN, section 4.2).
_CANONICAL_SIDE_PX = 224
_CANONICAL_LEVEL = 4


@dataclass(frozen=True)
class RoiLayer:
    """Crops the features of boxes, as a detector's heads call it.

    Attributes:
        strides: image pixels per cell of the maps that boxes are cropped from, fine to coarse: one
            map for all boxes, or a pyramid whose maps halve.
        crop: crops boxes from one map.
    """

    strides: Mapping[str, int]
    crop: RoiOperation

    def __call__(self, features: dict[str, Tensor], boxes: list[Tensor], resolution: int) -> Tensor:
        """Return RoI features (R, C, S, S), in the order of the boxes of all images.

        Args:
            features: maps of a batch by name, each (N, C, H, W).
            boxes: N tensors (R_n, 4), xyxy in image pixels.
            resolution: side S of the result.
        """
        rois = with_batch_index(boxes)
        if len(self.strides) == 1:
            ((name, stride),) = self.strides.items()
            return self.crop(features[name], rois, resolution, stride)
        chosen = _map_of_each(rois[:, 1:], list(self.strides.values()))
        of_map = _boxes_of_each_map(chosen, len(self.strides))
        crops = [
            self.crop(features[name], rois[here], resolution, stride)
            for (name, stride), here in zip(self.strides.items(), of_map, strict=True)
        ]
        return torch.cat(crops)[torch.cat(of_map).argsort()]


def build_roi_layer(settings: RoiLayerSettings, strides: Mapping[str, int]) -> RoiLayer:
    """Make the layer that the settings name, for a backbone's `roi_strides`."""
    return RoiLayer(strides, roi_operation(settings))


pool_rois = build_roi_layer(RoiLayerSettings(), PYRAMID_STRIDES)
"""The layer of most detectors, detectron2's: each box from that of p2 to p5 that fits its size, by
aligned RoIAlign with as many samples per bin as the bin covers cells."""


def with_batch_index(boxes: list[Tensor]) -> Tensor:
    """Return (R, 5): each box with its image's number in front, as torchvision's ops expect it."""
    numbers = [b.new_full((b.shape[0], 1), float(i)) for i, b in enumerate(boxes)]
    return torch.cat([torch.cat(numbers), torch.cat(boxes)], dim=1)


def _boxes_of_each_map(chosen: Tensor, maps: int) -> tuple[Tensor, ...] | list[Tensor]:
    """Return the indices of the boxes whose map is the first, the second, ..."""
    if is_being_exported():  # a graph's parts have no sizes that a list could hold
        return [torch.nonzero(chosen == i).squeeze(1) for i in range(maps)]
    # All sizes at once: the host waits for a GPU at each of them otherwise.
    counts = (chosen == torch.arange(maps, device=chosen.device).unsqueeze(1)).sum(1).tolist()
    return chosen.argsort(stable=True).split(counts)


def _map_of_each(boxes: Tensor, strides: list[int]) -> Tensor:
    """Return which map, counted from the finest, fits each box (R, 4): FPN's formula."""
    finest, coarsest = int(math.log2(strides[0])), int(math.log2(strides[-1]))
    side = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).clamp(min=0).sqrt()
    level = torch.floor(_CANONICAL_LEVEL + torch.log2(side / _CANONICAL_SIDE_PX + 1e-8))
    return level.clamp(finest, coarsest).to(torch.int64) - finest
