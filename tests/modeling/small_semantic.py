"""Small semantic models for tests, which train and predict in milliseconds."""

from typing import Any

import torch

from pointrend_repro.modeling.semantic.model import SemanticModel
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.semantic import (
    DeepLabV3Settings,
    SemanticFPNSettings,
    SemanticInferenceSettings,
    SemanticModelSettings,
    SemanticPointRendSettings,
)

CLASSES = 5
FEW_POINTS = SemanticInferenceSettings(points_per_step=64)
POINTREND = SemanticPointRendSettings(train_points=48, channels=32)


def small_trunk(**changes: Any) -> BackboneSettings:
    values = {"name": "resnet18_narrow", "norm": "gn", "freeze_at": 0, "fpn_channels": 32}
    return BackboneSettings.model_validate(values | changes)


def small_deeplab(
    pointrend: SemanticPointRendSettings | None = None, **decoder: Any
) -> SemanticModel:
    values = {"kind": "deeplabv3", "channels": 16, "norm": "gn", "image_pooling_px": (64, 64)}
    settings = SemanticModelSettings(
        backbone=small_trunk(output_stride=16, multi_grid=(1, 2)),
        decoder=DeepLabV3Settings.model_validate(values | decoder),
        pointrend=pointrend,
    )
    return _seeded(settings)


def small_semantic_fpn(
    pointrend: SemanticPointRendSettings | None = None, finest_level: str = "p2"
) -> SemanticModel:
    decoder = {"kind": "semantic_fpn", "channels": 32, "finest_level": finest_level}
    settings = SemanticModelSettings(
        backbone=small_trunk(),
        decoder=SemanticFPNSettings.model_validate(decoder),
        pointrend=pointrend,
    )
    return _seeded(settings)


def random_batch(*sizes: tuple[int, int]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Images (3, H, W) uint8 and label maps (H, W) uint8 of these sizes."""
    generator = torch.Generator().manual_seed(1)
    images = [torch.randint(256, (3, *s), dtype=torch.uint8, generator=generator) for s in sizes]
    labels = [torch.randint(CLASSES, s, dtype=torch.uint8, generator=generator) for s in sizes]
    return images, labels


def _seeded(settings: SemanticModelSettings) -> SemanticModel:
    torch.manual_seed(0)
    model = SemanticModel(settings, CLASSES)
    for name, parameter in model.named_parameters():
        if "predictor" in name:  # they begin near zero, where nothing tells two classes apart
            torch.nn.init.normal_(parameter, std=0.5)
    return model
