"""A key of detectron2's configuration, and the trunk's keys, which all models have."""

from dataclasses import dataclass
from typing import Any

from pointrend_repro.settings.backbone import BackboneSettings

BASE = "detectron2's configs/Base-RCNN-FPN.yaml"

# Depth, groups and channels per group. The narrow trunk is ours; R-103 is from its DeepLab project.
_TRUNKS = {
    "resnet50": (50, 1, 64),
    "resnet101": (101, 1, 64),
    "resnext101_32x8d": (101, 32, 8),
}

_NORMS = {"frozen_bn": "FrozenBN", "bn": "BN", "sync_bn": "SyncBN"}

STAGES = ("res2", "res3", "res4", "res5")


@dataclass(frozen=True)
class Key:
    """One value of a configuration.

    Attributes:
        name: such as `SOLVER.BASE_LR`.
        value: a plain value; lists where detectron2 has tuples.
        source: our setting, or detectron2's file, that it comes from.
    """

    name: str
    value: Any
    source: str


def backbone_keys(settings: BackboneSettings) -> list[Key]:
    """Translate a trunk with its feature pyramid, and the normalisation of its input."""
    depth, groups, width = _TRUNKS[settings.name]
    own = "model.backbone"
    return [
        Key("MODEL.BACKBONE.NAME", "build_resnet_fpn_backbone", BASE),
        Key("MODEL.RESNETS.OUT_FEATURES", list(STAGES), BASE),
        Key("MODEL.FPN.IN_FEATURES", list(STAGES), BASE),
        Key("MODEL.RESNETS.DEPTH", depth, f"{own}.name"),
        Key("MODEL.RESNETS.NUM_GROUPS", groups, f"{own}.name"),
        Key("MODEL.RESNETS.WIDTH_PER_GROUP", width, f"{own}.name"),
        Key("MODEL.RESNETS.STRIDE_IN_1X1", settings.stride_in_1x1, f"{own}.stride_in_1x1"),
        Key("MODEL.RESNETS.NORM", _NORMS[settings.norm], f"{own}.norm"),
        Key("MODEL.BACKBONE.FREEZE_AT", settings.freeze_at, f"{own}.freeze_at"),
        Key("MODEL.FPN.OUT_CHANNELS", settings.fpn_channels, f"{own}.fpn_channels"),
        Key("INPUT.FORMAT", settings.channel_order, f"{own}.channel_order"),
        Key("MODEL.PIXEL_MEAN", list(settings.pixel_mean), f"{own}.pixel_mean"),
        Key("MODEL.PIXEL_STD", list(settings.pixel_std), f"{own}.pixel_std"),
        Key("MODEL.WEIGHTS", settings.weights or "", f"{own}.weights"),
    ]


def backbone_problems(settings: BackboneSettings) -> list[str]:
    """Return the settings of a trunk that detectron2 does not support."""
    problems = []
    if settings.name not in _TRUNKS:
        problems.append(f"model.backbone.name {settings.name} (it has {', '.join(_TRUNKS)})")
    if settings.norm == "gn":
        problems.append("model.backbone.norm gn in our groups (its GN has 32)")
    elif settings.norm not in _NORMS:
        problems.append(f"model.backbone.norm {settings.norm}")
    # Only its DeepLab project's trunk has one (MODEL.RESNETS.RES5_MULTI_GRID).
    if settings.multi_grid not in ((), (1, 1, 1)):
        problems.append(f"model.backbone.multi_grid {list(settings.multi_grid)}")
    if settings.deformable:
        problems.append("model.backbone.deformable (its blocks name the offsets otherwise)")
    if settings.context_ratio is not None:
        problems.append("model.backbone.context_ratio")
    if settings.balancing_blocks:
        problems.append(f"model.backbone.balancing_blocks {settings.balancing_blocks}")
    return problems
