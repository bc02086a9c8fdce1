"""The cost of a mask head per box: multiply-adds and activations, counted by fvcore (Table 2).

These rules reproduce the paper's rounded numbers:

- Activations of the convolutional heads include their RoI features (and skip features).
- PointRend predicts every point of the 28x28 grid, and then N points at each further step; earlier
  steps are discarded (see `modeling.steps.rendered_steps`). Its point head is counted with the
  logits of all classes, as published; this project computes only those of the predicted class.
- PointRend's activations are those of one step, the peak, plus the coarse head's: a step's
  activations are freed when the next begins. The paper's 0.7M needs that, but a convolutional
  head's layers are freed as well, when the next but one begins, and are all counted. So heads are
  also counted in two uniform ways that the paper does not have: `activations_summed` has all steps
  of PointRend, as it has all layers of the others (RoI features as above), and `activations_peak`
  is the most that any one layer of a head reads and writes.
- Sampling and upsampling are not counted, nor is what all boxes of an image share: the
  SharpMask-style head's two convolutions on each of the trunk's stages.
- The res5 head is counted with res5: at test time it runs again, on the detected boxes.
- A head from outside this package says which of its layers to count, and on what (`cost_piece`).
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.modeling.backbone import build_backbone
from pointrend_repro.modeling.box_head import Res5BoxHead
from pointrend_repro.modeling.build import build_box_head
from pointrend_repro.modeling.detector import NO_MASKS
from pointrend_repro.modeling.mask_heads import MaskHead, build_mask_head
from pointrend_repro.modeling.mask_heads.conv4 import Conv4Head
from pointrend_repro.modeling.mask_heads.mlp import MlpMaskHead
from pointrend_repro.modeling.mask_heads.pointrend import PointRendHead
from pointrend_repro.modeling.mask_heads.res5 import Res5MaskHead
from pointrend_repro.modeling.mask_heads.sharpmask import ENCODING_RESOLUTION, SharpMaskHead
from pointrend_repro.modeling.pooling import pool_rois
from pointrend_repro.modeling.steps import rendered_steps
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings

_SCALES = {"B": 1e9, "M": 1e6}

# Operator that fvcore counts as a layer -> the inputs that it reads. For layers with weights that
# is the first one; for products of two tensors it cannot be known, so both count.
_READS: dict[str, Callable[[Any], Sequence[Any]]] = {
    "aten::_convolution": lambda inputs: inputs[:1],
    "aten::addmm": lambda inputs: inputs[1:2],
    "aten::bmm": lambda inputs: inputs[:2],
    "aten::einsum": lambda inputs: list(inputs[1].node().inputs()),
    "aten::linear": lambda inputs: inputs[:1],
    "aten::matmul": lambda inputs: inputs[:2],
}


class _Cost(NamedTuple):
    """Numbers for one box; the fields are the keys of the metric."""

    multiply_adds: float
    activations: float
    activations_summed: float
    activations_peak: float


def mask_head_cost(
    settings: ModelSettings, inference: InferenceSettings, *, num_classes: int = 80
) -> dict[str, float]:
    """Count a model's mask head for one box.

    Args:
        num_classes: COCO's 80, as in the paper.

    Returns:
        `multiply_adds` in billions; `activations`, as in Table 2, `activations_summed` and
        `activations_peak` in millions.

    Raises:
        UserError: there is no mask head, or one from outside this package that does not say what to
            count.
    """
    with torch.device("meta"):  # without memory: only its channels are of interest
        backbone = build_backbone(settings.backbone, settings.features)
    channels = backbone.channels
    on_res5 = settings.mask_head.kind == "res5"
    box_head = build_box_head(settings, channels, num_classes, pool_rois) if on_res5 else None
    head = build_mask_head(
        settings.mask_head,
        in_channels=channels,
        trunk_channels=backbone.bottom_up.out_channels,
        num_classes=num_classes,
        box_head=box_head,
    )
    match head:
        case Conv4Head():
            cost = _conv4(head, channels)
        case None:
            raise UserError(NO_MASKS)
        case MlpMaskHead():
            cost = _with_inputs(head, head.from_roi_features, _roi_features(head, channels))
        case PointRendHead():
            cost = _pointrend(head, channels, num_classes, inference)
        case Res5MaskHead():
            cost = _res5(head, cast(Res5BoxHead, box_head), channels)
        case SharpMaskHead():
            cost = _sharpmask(head, channels)
        case _:
            cost = _plugin(head)
    units = METRICS.find("mask_head_cost").keys
    return {key: value / _SCALES[units[key]] for key, value in cost._asdict().items()}


def _conv4(head: Conv4Head, channels: int) -> _Cost:
    roi_features, scoring = _roi_features(head, channels), head.iou_head
    if scoring is None:
        return _with_inputs(head, lambda x: head.predictor(head.hidden(x)), roi_features)
    return _with_inputs(
        head, lambda x: scoring(x, head.predictor(head.hidden(x))[:, 0]), roi_features
    )


def _roi_features(head: Conv4Head | MlpMaskHead, channels: int) -> Tensor:
    return torch.zeros(1, channels, head.roi_resolution, head.roi_resolution)


def _pointrend(
    head: PointRendHead, channels: int, num_classes: int, inference: InferenceSettings
) -> _Cost:
    point_head = head.point_head
    channels *= len(head.settings.levels)
    side = 2 * head.coarse_head.resolution
    coarse = _count(
        head.coarse_head, head.coarse_head.from_samples, torch.zeros(1, channels, side, side)
    )
    steps = [
        _count(
            point_head,
            lambda fine, coarse: point_head.predictor(point_head.hidden(fine, coarse)),
            torch.zeros(1, channels, points),
            torch.zeros(1, num_classes, points),
        )
        for _, points in rendered_steps(
            head.coarse_head.resolution, inference.output_resolution, inference.points_per_step
        )
    ]
    return _Cost(
        multiply_adds=sum(part.multiply_adds for part in (coarse, *steps)),
        activations=coarse.activations + max(step.activations for step in steps),
        activations_summed=sum(part.activations for part in (coarse, *steps)),
        activations_peak=max(part.activations_peak for part in (coarse, *steps)),
    )


def _res5(head: Res5MaskHead, box_head: Res5BoxHead, channels: int) -> _Cost:
    side = box_head.roi_resolution
    layers = nn.ModuleList([box_head.res5, head])
    return _with_inputs(
        layers, lambda x: head.on_res5(box_head.res5(x)), torch.zeros(1, channels, side, side)
    )


class _Layers(nn.Module):
    """A function of a head's layers, as the module that fvcore requires."""

    def __init__(self, head: nn.Module, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.head = head
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def _sharpmask(head: SharpMaskHead, channels: int) -> _Cost:
    side = ENCODING_RESOLUTION
    roi_features = torch.zeros(1, channels, side, side)
    skips = [
        torch.zeros(1, width, side * 2**i, side * 2**i)
        for i, width in enumerate(head.refinement.widths)
    ]
    return _with_inputs(
        head, lambda x, *s: head.refinement(head.bottleneck(x), list(s)), roi_features, *skips
    )


def _plugin(head: MaskHead) -> _Cost:
    cost_piece: Any = getattr(head, "cost_piece", None)
    if cost_piece is None:
        raise UserError(
            f"mask head {type(head).__name__}: cannot be counted without a method cost_piece"
        )
    layers, inputs = cost_piece()
    return _with_inputs(cast(nn.Module, head), layers, *inputs)


def _with_inputs(head: nn.Module, function: Callable[..., Tensor], *inputs: Tensor) -> _Cost:
    """Count a head without steps, with its inputs from the trunk as activations too."""
    cost = _count(head, function, *inputs)
    activations = cost.activations + sum(each.numel() for each in inputs)
    return cost._replace(activations=activations, activations_summed=activations)


def _count(head: nn.Module, function: Callable[..., Tensor], *inputs: Tensor) -> _Cost:
    """Count multiply-adds and activations (outputs of convolutions and linear layers)."""
    # Importing fvcore takes a second, and warns about future removals in torch.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis

        module = _Layers(head, function)
        layers = ActivationCountAnalysis(module, inputs)
        sizes: list[int] = []
        layers.set_op_handle(**{name: _noting(sizes, reads) for name, reads in _READS.items()})
        counts = [FlopCountAnalysis(module, inputs), layers]
        for each in counts:
            each.set_op_handle("aten::upsample_bilinear2d", lambda inputs, outputs: Counter())
            each.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        multiply_adds, activations = (float(each.total()) for each in counts)
    return _Cost(multiply_adds, activations, activations, float(max(sizes, default=0)))


def _noting(sizes: list[int], reads: Callable[[Any], Sequence[Any]]) -> Callable[[Any, Any], int]:
    """Return fvcore's handle for an operator that also notes what each layer reads and writes."""

    def handle(inputs: Any, outputs: Any) -> int:
        read = sum(math.prod(tensor.type().sizes()) for tensor in reads(inputs))
        written = math.prod(outputs[0].type().sizes())
        sizes.append(read + written)
        return written

    return handle
