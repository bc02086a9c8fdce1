"""Inputs that several benchmarks share: feature maps, boxes and weights, made from a seed."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pointrend_repro.modeling.mask_heads.pointrend import PointRendHead
from pointrend_repro.settings.heads import PointRendHeadSettings

FPN_CHANNELS = 256
P2_STRIDE = 4


@dataclass(frozen=True)
class MaskInputs:
    """A mask head and one image's features and boxes.

    Attributes:
        head: with weights of realistic scale, so that masks have boundaries.
        p2: (1, C, H / 4, W / 4).
        boxes: (R, 4), xyxy in pixels.
        labels: (R,).
    """

    head: PointRendHead
    p2: Tensor
    boxes: Tensor
    labels: Tensor


def mask_inputs(
    *, num_boxes: int, num_classes: int, height: int, width: int, device: str
) -> MaskInputs:
    """Make the inputs of a mask head on one image of height x width pixels."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    head = PointRendHead(FPN_CHANNELS, num_classes, PointRendHeadSettings(kind="pointrend")).eval()
    for layer in (head.coarse_head.prediction, head.point_head.predictor):
        torch.nn.init.normal_(layer.weight, std=2 / layer.weight[0].numel() ** 0.5)
    return MaskInputs(
        head.requires_grad_(False).to(device),
        feature_map(height // P2_STRIDE, width // P2_STRIDE, generator).to(device),
        random_boxes(num_boxes, height, width, generator).to(device),
        torch.randint(0, num_classes, (num_boxes,), generator=generator).to(device),
    )


def feature_map(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Make features (1, C, rows, columns) that are smooth over a few cells, with some noise."""
    coarse = torch.randn(1, FPN_CHANNELS, rows // 4 + 1, columns // 4 + 1, generator=generator)
    smooth = F.interpolate(coarse, size=(rows, columns), mode="bicubic")
    return smooth + 0.3 * torch.randn(smooth.shape, generator=generator)


def random_boxes(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Make boxes (count, 4) inside an image; their sides are log-uniform, 16 to 400 pixels."""
    sides = 16 * 25 ** torch.rand(count, 2, generator=generator)
    centres = torch.rand(count, 2, generator=generator) * torch.tensor([width, height])
    boxes = torch.cat([centres - sides / 2, centres + sides / 2], dim=1)
    limits = torch.tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limits)
