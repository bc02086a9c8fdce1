"""Lets mmdetection run without mmcv's compiled operators: torchvision's take their place.

Import it before mmdetection, with mmcv-lite. The operators that its HTC and SOLOv2 need are here,
and recorders may add to `KNOWN`; others are layers that cannot compute.
"""

import importlib.machinery
import sys
import types
from typing import Any

import torch
import torchvision
from torch import Tensor, nn


class RoIAlign(nn.Module):
    """mmcv's layer on torchvision's function."""

    def __init__(
        self,
        output_size: int,
        spatial_scale: float = 1.0,
        sampling_ratio: int = 0,
        aligned: bool = True,
    ) -> None:
        super().__init__()
        self.output_size = (output_size, output_size)
        self.spatial_scale = spatial_scale
        self.rest = (sampling_ratio, "avg", aligned)

    def forward(self, features: Tensor, rois: Tensor) -> Tensor:
        return roi_align(features, rois, self.output_size, self.spatial_scale, *self.rest)


def roi_align(
    features: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: str,
    aligned: bool,
) -> Tensor:
    assert pool_mode == "avg"
    return torchvision.ops.roi_align(
        features, rois, output_size, spatial_scale, sampling_ratio, aligned
    )


def batched_nms(
    boxes: Tensor,
    scores: Tensor,
    idxs: Tensor,
    nms_cfg: dict[str, Any],
    class_agnostic: bool = False,
) -> tuple[Tensor, Tensor]:
    assert nms_cfg["type"] == "nms"
    assert not class_agnostic
    keep = torchvision.ops.batched_nms(boxes, scores, idxs, nms_cfg["iou_threshold"])
    return torch.cat([boxes[keep], scores[keep, None]], dim=1), keep


KNOWN = {each.__name__: each for each in (RoIAlign, roi_align, batched_nms)}


class _Operators(types.ModuleType):
    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return KNOWN.get(name) or type(name, (nn.Module,), {})


class _Finder:
    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name == "mmcv.ops" or name.startswith("mmcv.ops."):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Operators(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Leave the module as it is."""


sys.meta_path.insert(0, _Finder())

import mmcv.cnn.bricks.transformer  # noqa: E402

mmcv.cnn.bricks.transformer.MultiScaleDeformableAttention = type(
    "MultiScaleDeformableAttention", (nn.Module,), {}
)
