"""The models that `load_model` knows by name, and of which mmdetection has published weights.

This module imports no torch.
"""

from pointrend_repro.checkpoints.known_definition import Categories, KnownModel
from pointrend_repro.data.coco_synsets import COCO_CATEGORIES
from pointrend_repro.settings.at_test import DetectionAtTest
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.htc import HtcInferenceSettings, HtcModelSettings
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.solov2 import (
    SoloHeadSettings,
    SoloInferenceSettings,
    SoloModelSettings,
)

_COCO: Categories = [(c.id, c.name) for c in COCO_CATEGORIES]

# Trained from torchvision's weights.
_R50 = BackboneSettings(
    name="resnet50",
    stride_in_1x1=False,
    channel_order="RGB",
    pixel_mean=(123.675, 116.280, 103.530),
    pixel_std=(58.395, 57.120, 57.375),
)


def mmdetection_models() -> dict[str, KnownModel]:
    """Return them by name."""
    return _cascades() | _solov2_models()


def _cascades() -> dict[str, KnownModel]:
    """HTC without its semantic branch, as mmdetection's htc-without-semantic_r50_fpn_1x_coco."""
    inference = HtcInferenceSettings(test=DetectionAtTest(rpn_post_nms=1000))
    known = KnownModel(HtcModelSettings(backbone=_R50), InputSettings(), _COCO, inference)
    return {"htc_r50_fpn_coco": known}


def _solov2_models() -> dict[str, KnownModel]:
    """SOLOv2 and its light version; others that are published have DCNv2, which is not here."""
    light = SoloHeadSettings(
        ranges_px=((1, 56), (28, 112), (56, 224), (112, 448), (224, 896)),
        channels=256,
        tower_layers=2,
        kernel_channels=128,
    )
    light_input = InputSettings(
        train_short_edges_px=(352, 384, 416, 448, 480, 512),
        test_short_edge_px=448,
        max_long_edge_px=768,
    )
    heads = {"solov2": (SoloHeadSettings(), InputSettings()), "solov2_light": (light, light_input)}
    return {
        f"{name}_r50_fpn_coco": KnownModel(
            SoloModelSettings(backbone=_R50, head=head), size, _COCO, SoloInferenceSettings()
        )
        for name, (head, size) in heads.items()
    }
