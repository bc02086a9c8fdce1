"""The input on which mask heads are checked: two small images, boxes on them, random weights."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.backbone import STRIDES, TRUNK_STRIDES
from pointrend_repro.modeling.mask_heads import MaskHead, build_mask_head
from pointrend_repro.modeling.resnet import TRUNKS
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.heads import MaskHeadSettings
from pointrend_repro.settings.instances import InferenceSettings

IMAGE_PX = (64, 96)
NUM_CLASSES = 4
BACKBONE = BackboneSettings(name="resnet18_narrow", norm="gn", freeze_at=0, fpn_channels=8)
INFERENCE = InferenceSettings(output_resolution=28, points_per_step=100)
NO_BOXES = torch.zeros(0, 4)
NO_LABELS = torch.zeros(0, dtype=torch.int64)
# xyxy in pixels, on two images.
BOXES = [
    torch.tensor([[4.0, 6, 40, 50], [20, 10, 90, 60], [50, 30, 62, 44]]),
    torch.tensor([[10.5, 3.25, 70.75, 41.5]]),
]
LABELS = [torch.tensor([0, 3, 1]), torch.tensor([2])]


class NonConformingError(Exception):
    """What a head does wrong, in one line."""


@dataclass(frozen=True)
class Case:
    """The settings of a head to check; every check makes the head again."""

    settings: MaskHeadSettings

    def head(self, seed: int = 0) -> "Head":
        """Return the head with random weights from a seed."""
        torch.manual_seed(seed)
        made = build_mask_head(
            self.settings,
            in_channels=BACKBONE.fpn_channels,
            trunk_channels=TRUNKS[BACKBONE.name].channels,
            num_classes=NUM_CLASSES,
        )
        head = cast(Head, made)
        # Predictors start near zero, where all outputs are nearly equal.
        for name, parameter in head.named_parameters():
            if name.endswith("bias") or "predict" in name:
                nn.init.normal_(parameter, std=0.3)
        return head


class Head(nn.Module, MaskHead):
    """For the type checker: a mask head is also a module."""


def features(images: int = 2) -> dict[str, Tensor]:
    """Return random maps p2 to p5 and res2 to res5 of two images of 64x96 pixels."""
    generator = torch.Generator().manual_seed(1)
    widths = dict(zip(TRUNK_STRIDES, TRUNKS[BACKBONE.name].channels, strict=True))
    height, width = IMAGE_PX
    return {
        name: torch.randn(
            images,
            widths.get(name, BACKBONE.fpn_channels),
            -(-height // stride),
            -(-width // stride),
            generator=generator,
        )
        for name, stride in (STRIDES | TRUNK_STRIDES).items()
    }


def training_boxes(
    boxes: list[Tensor], labels: list[Tensor]
) -> tuple[list[Proposals], list[Target]]:
    """Proposals on objects whose left half is the mask."""
    proposals = [Proposals(b, k, torch.arange(len(b))) for b, k in zip(boxes, labels, strict=True)]
    targets = []
    for b, k in zip(boxes, labels, strict=True):
        masks = torch.zeros(len(b), *IMAGE_PX, dtype=torch.bool)
        for mask, (x0, y0, x1, y1) in zip(masks, b.round().int().tolist(), strict=True):
            mask[y0:y1, x0 : (x0 + x1) // 2] = True
        targets.append(Target(b, k, masks))
    return proposals, targets


def require(holds: bool, problem: str) -> None:
    """Raise `NonConformingError` with a problem unless a condition `holds`."""
    if not holds:
        raise NonConformingError(problem)


def require_close(got: Tensor, expected: Tensor, problem: str) -> None:
    """Raise `NonConformingError` if tensors differ in shape, or by 1e-4 or more."""
    require(got.shape == expected.shape, f"{problem}: {tuple(got.shape)}, {tuple(expected.shape)}")
    difference = float((got - expected).abs().max().detach()) if got.numel() else 0.0
    require(difference < 1e-4, f"{problem}, by up to {difference:.2g}")
