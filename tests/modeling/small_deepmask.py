"""Small networks of DeepMask and SharpMask, and what goes through them."""

from typing import Any

import torch
from torch import Tensor

from pointrend_repro.data.patches import PatchTarget
from pointrend_repro.modeling.deepmask.model import DeepMask
from pointrend_repro.settings.deepmask import DeepMaskModelSettings

NARROW: dict[str, Any] = {"name": "resnet18_narrow", "norm": "gn"}
VGG: dict[str, Any] = {"name": "vgg11", "padding": "zero"}
SMALL: dict[str, Any] = {
    "backbone": NARROW,
    "patch_px": 64,
    "feature_channels": 8,
    "bottleneck_channels": 12,
    "score_channels": 10,
    "mask_resolution": 14,
}
AS_CODE: dict[str, Any] = {
    "upsampling": "nearest",
    "skip_channels": (64, 64, 64, 32),
    "extra_vertical_conv": True,
}


def make(**values: Any) -> DeepMask:
    torch.manual_seed(0)
    return DeepMask(DeepMaskModelSettings.model_validate(values), num_classes=80).eval()


def on_meta(**values: Any) -> DeepMask:
    with torch.device("meta"):
        return make(**values)


def random_image(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)


def random_features(patches: int) -> list[Tensor]:
    """Maps of a patch of 64 pixels by the narrow trunk."""
    return [torch.randn(patches, c, 4 * 2**i, 4 * 2**i) for i, c in enumerate((64, 32, 16, 16))]


def some_targets(patches: int, side: int, positive: list[int]) -> PatchTarget:
    is_positive = torch.zeros(patches, dtype=torch.bool)
    is_positive[positive] = True
    return PatchTarget(
        is_positive=is_positive,
        has_score=torch.ones(patches, dtype=torch.bool),
        has_mask=is_positive,
        masks=torch.rand(patches, side, side) > 0.5,
    )
