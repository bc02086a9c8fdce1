"""Models of mmdetection that `load_model` knows by name. This module imports no torch."""

from pointrend_repro.checkpoints.known_model import KnownModel
from pointrend_repro.data.coco_synsets import COCO_CATEGORIES
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.heads import Conv4HeadSettings, MaskScoringSettings
from pointrend_repro.settings.htc import HtcInferenceSettings, HtcModelSettings
from pointrend_repro.settings.instances import ModelSettings
from pointrend_repro.settings.schedule import InputSettings

_TORCHVISION_R50 = BackboneSettings(
    name="resnet50",
    stride_in_1x1=False,
    channel_order="RGB",
    pixel_mean=(123.675, 116.280, 103.530),
    pixel_std=(58.395, 57.120, 57.375),
)


def mmdetection_models() -> dict[str, KnownModel]:
    """Its htc-without-semantic_r50_fpn_1x_coco, and ms-rcnn_r50- and r101-caffe_fpn."""
    coco = [(c.id, c.name) for c in COCO_CATEGORIES]
    htc = HtcModelSettings(backbone=_TORCHVISION_R50)
    known = {"htc_r50_fpn_coco": KnownModel(htc, InputSettings(), coco, HtcInferenceSettings())}
    scored = Conv4HeadSettings(kind="4conv", mask_scoring=MaskScoringSettings())
    for name in ("resnet50", "resnet101"):
        settings = ModelSettings(backbone=BackboneSettings(name=name), mask_head=scored)
        short = name.replace("resnet", "r")
        known[f"mask_scoring_rcnn_{short}_fpn_coco"] = KnownModel(settings, InputSettings(), coco)
    return known
