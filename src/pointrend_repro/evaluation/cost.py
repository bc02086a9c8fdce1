"""What a mask head costs for one box: multiply-adds and activations, counted by fvcore (Table 2).

The counts that reproduce the paper's rounding:

- Activations of the convolutional heads include their RoI features (and skip features).
- PointRend predicts every point of the 28x28 grid, and then N points at each further step; the
  steps before are void (see `modeling.points.rendered_steps`). Its point head is counted with the
  logits of all classes, as published; this project computes those of the box's own class only.
- PointRend's activations are those of one step, the peak, plus the coarse head's: a step's are
  gone when the next begins.
- Sampling and upsampling are not counted, nor is what all boxes of an image share: the
  SharpMask-style head's two convolutions on each of the trunk's stages.
- A head from outside this package says which of its layers to count, on what (`cost_piece`).
"""

import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from pointrend_repro.errors import UserError
from pointrend_repro.modeling.mask_heads import MaskHead, build_mask_head
from pointrend_repro.modeling.mask_heads.conv4 import Conv4Head
from pointrend_repro.modeling.mask_heads.pointrend import PointRendHead
from pointrend_repro.modeling.mask_heads.sharpmask import ENCODING_RESOLUTION, SharpMaskHead
from pointrend_repro.modeling.points import rendered_steps
from pointrend_repro.modeling.resnet import TRUNKS
from pointrend_repro.settings import InferenceSettings, ModelSettings

_BILLION, _MILLION = 1e9, 1e6
COST_UNITS = {"multiply_adds": "B", "activations": "M"}


def mask_head_cost(
    settings: ModelSettings, inference: InferenceSettings, *, num_classes: int = 80
) -> dict[str, float]:
    """Count the mask head of a model for one box.

    Args:
        num_classes: COCO's 80, as in the paper.

    Returns:
        `multiply_adds` in billions and `activations` in millions.

    Raises:
        UserError: a head from outside this package does not say what to count.
    """
    channels = settings.backbone.fpn_channels
    head = build_mask_head(
        settings.mask_head,
        in_channels=channels,
        trunk_channels=TRUNKS[settings.backbone.name].channels,
        num_classes=num_classes,
    )
    match head:
        case Conv4Head():
            multiply_adds, activations = _conv4(head, channels)
        case PointRendHead():
            multiply_adds, activations = _pointrend(head, channels, num_classes, inference)
        case SharpMaskHead():
            multiply_adds, activations = _sharpmask(head, channels)
        case _:
            multiply_adds, activations = _plugin(head)
    return {
        "multiply_adds": multiply_adds / _BILLION,
        "activations": activations / _MILLION,
    }


def _conv4(head: Conv4Head, channels: int) -> tuple[float, float]:
    roi_features = torch.zeros(1, channels, head.roi_resolution, head.roi_resolution)
    multiply_adds, activations = _count(
        head, lambda x: head.predictor(head.hidden(x)), roi_features
    )
    return multiply_adds, activations + roi_features.numel()


def _pointrend(
    head: PointRendHead, channels: int, num_classes: int, inference: InferenceSettings
) -> tuple[float, float]:
    point_head = head.point_head
    side = 2 * head.coarse_head.resolution
    multiply_adds, activations = _count(
        head.coarse_head, head.coarse_head.from_samples, torch.zeros(1, channels, side, side)
    )
    steps = rendered_steps(
        head.coarse_head.resolution, inference.output_resolution, inference.points_per_step
    )
    peak = 0.0
    for _, points in steps:
        step, step_activations = _count(
            point_head,
            lambda fine, coarse: point_head.predictor(point_head.hidden(fine, coarse)),
            torch.zeros(1, channels, points),
            torch.zeros(1, num_classes, points),
        )
        multiply_adds += step
        peak = max(peak, step_activations)
    return multiply_adds, activations + peak


class _Layers(nn.Module):
    """A function of a head's layers, as the module that fvcore wants."""

    def __init__(self, head: nn.Module, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.head = head
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def _sharpmask(head: SharpMaskHead, channels: int) -> tuple[float, float]:
    side = ENCODING_RESOLUTION
    roi_features = torch.zeros(1, channels, side, side)
    skips = [
        torch.zeros(1, width, side * 2**i, side * 2**i)
        for i, width in enumerate(head.refinement.widths)
    ]
    multiply_adds, activations = _count(
        head, lambda x, *s: head.refinement(head.bottleneck(x), list(s)), roi_features, *skips
    )
    return multiply_adds, activations + sum(crop.numel() for crop in (roi_features, *skips))


def _plugin(head: MaskHead) -> tuple[float, float]:
    cost_piece: Any = getattr(head, "cost_piece", None)
    if cost_piece is None:
        raise UserError(
            f"mask head {type(head).__name__}: cannot be counted without a method cost_piece"
        )
    layers, inputs = cost_piece()
    multiply_adds, activations = _count(cast(nn.Module, head), layers, *inputs)
    return multiply_adds, activations + sum(each.numel() for each in inputs)


def _count(
    head: nn.Module, function: Callable[..., Tensor], *inputs: Tensor
) -> tuple[float, float]:
    """Return multiply-adds and activations (outputs of convolutions and linear layers)."""
    # Importing fvcore takes a second, and warns of what torch will drop one day.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis

        module = _Layers(head, function)
        counts = [FlopCountAnalysis(module, inputs), ActivationCountAnalysis(module, inputs)]
        for each in counts:
            each.set_op_handle("aten::upsample_bilinear2d", lambda inputs, outputs: Counter())
            each.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        multiply_adds, activations = (float(each.total()) for each in counts)
    return multiply_adds, activations
