"""The models that `load_model` knows by name, and of which mmdetection has published weights.

This module imports no torch.
"""

from pointrend_repro.checkpoints.known_definition import Categories, KnownModel
from pointrend_repro.data.coco_synsets import COCO_CATEGORIES
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.heads import Conv4HeadSettings, MaskScoringSettings
from pointrend_repro.settings.htc import HtcInferenceSettings, HtcModelSettings
from pointrend_repro.settings.instances import ModelSettings
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.solov2 import (
    SoloHeadSettings,
    SoloInferenceSettings,
    SoloModelSettings,
)

_COCO: Categories = [(c.id, c.name) for c in COCO_CATEGORIES]

# Trained from torchvision's and, for X-101, open-mmlab's weights.
_R50 = BackboneSettings(
    name="resnet50",
    stride_in_1x1=False,
    channel_order="RGB",
    pixel_mean=(123.675, 116.280, 103.530),
    pixel_std=(58.395, 57.120, 57.375),
)
_R101 = _R50.model_copy(update={"name": "resnet101"})
_X101 = _R50.model_copy(update={"name": "resnext101_64x4d"})


def mmdetection_models() -> dict[str, KnownModel]:
    """Return them by name."""
    return _cascades() | _mask_scoring_models() | _solov2_models() | _mask_rcnns()


def _mask_rcnns() -> dict[str, KnownModel]:
    """Its mask-rcnn_x101-64x4d-fpn; detectron2 has a Mask R-CNN on R-50 with DCN (dconv_c3-c5)."""
    head = Conv4HeadSettings(kind="4conv")
    deformable = BackboneSettings(name="resnet50", deformable=True)
    trunks = {"x101_64x4d": _X101, "r50_dcn": deformable}
    return {
        f"mask_rcnn_{name}_fpn_coco": KnownModel(
            ModelSettings(backbone=trunk, mask_head=head), InputSettings(), _COCO
        )
        for name, trunk in trunks.items()
    }


def _cascades() -> dict[str, KnownModel]:
    """HTC without its semantic branch, as mmdetection's htc-without-semantic_r50_fpn_1x_coco."""
    model = HtcModelSettings(backbone=_R50)
    known = KnownModel(model, InputSettings(), _COCO, HtcInferenceSettings())
    return {"htc_r50_fpn_coco": known}


def _mask_scoring_models() -> dict[str, KnownModel]:
    """Its ms-rcnn_r50-caffe_fpn and ms-rcnn_r101-caffe_fpn."""
    scored = Conv4HeadSettings(kind="4conv", mask_scoring=MaskScoringSettings())
    known = {}
    for name in ("resnet50", "resnet101"):
        settings = ModelSettings(backbone=BackboneSettings(name=name), mask_head=scored)
        short = name.replace("resnet", "r")
        known[f"mask_scoring_rcnn_{short}_fpn_coco"] = KnownModel(settings, InputSettings(), _COCO)
    return known


def _solov2_models() -> dict[str, KnownModel]:
    """SOLOv2 on R-50 and R-101, and its light version on R-50.

    Not here are DCNv2, which its other R-101 and its X-101 have, and the light ones' R-18 and R-34.
    """
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
    models = {
        "solov2_r50": (_R50, SoloHeadSettings(), InputSettings()),
        "solov2_r101": (_R101, SoloHeadSettings(), InputSettings()),
        "solov2_light_r50": (_R50, light, light_input),
    }
    return {
        f"{name}_fpn_coco": KnownModel(
            SoloModelSettings(backbone=trunk, head=head), size, _COCO, SoloInferenceSettings()
        )
        for name, (trunk, head, size) in models.items()
    }
