"""The models that `load_model` knows by name: one table, with the definition of each.

A name is `<head>_<backbone>_<dataset>`; `dc5` is a trunk whose res5 is dilated. To add a model, add
an entry to `KNOWN_MODELS`. This module imports no torch.
"""

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.checkpoints.known_definition import Categories, KnownModel
from pointrend_repro.checkpoints.mmdetection_models import mmdetection_models
from pointrend_repro.data.cityscapes import INSTANCE_CLASSES, TRAIN_CLASSES
from pointrend_repro.data.coco_synsets import COCO_CATEGORIES
from pointrend_repro.data.keypoints import COCO_KEYPOINTS, COCO_PERSON
from pointrend_repro.settings.at_test import DetectionAtTest
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.deepmask import DeepMaskModelSettings, RefinementSettings
from pointrend_repro.settings.deepmask_inference import DeepMaskInferenceSettings
from pointrend_repro.settings.heads import (
    Conv4HeadSettings,
    KeypointHeadSettings,
    MaskHeadSettings,
    NoMaskSettings,
    PointRendHeadSettings,
    Res5MaskSettings,
    SharpMaskHeadSettings,
)
from pointrend_repro.settings.instances import DetectorSettings, InferenceSettings, ModelSettings
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.semantic import (
    DeepLabV3Settings,
    SemanticFPNSettings,
    SemanticInferenceSettings,
    SemanticModelSettings,
    SemanticPointRendSettings,
)

# Images are fed as to the ImageNet classifiers: MSRA's and FAIR's are from Caffe2, hence BGR
# (detectron2's MODEL_ZOO.md, "ImageNet Pretrained Models"; X-101's configuration for its std).
_BACKBONES = {
    "r50_fpn": BackboneSettings(name="resnet50"),
    "r101_fpn": BackboneSettings(name="resnet101"),
    "x101_fpn": BackboneSettings(
        name="resnext101_32x8d", stride_in_1x1=False, pixel_std=(57.375, 57.120, 58.395)
    ),
}

_HEADS: dict[str, MaskHeadSettings] = {
    "mask_rcnn": Conv4HeadSettings(kind="4conv"),
    "sharpmask": SharpMaskHeadSettings(kind="sharpmask"),
    "pointrend": PointRendHeadSettings(kind="pointrend"),
    "faster_rcnn": NoMaskSettings(kind="none"),
}

_CITYSCAPES_INSTANCES: Categories = list(INSTANCE_CLASSES.items())
_CITYSCAPES_CLASSES: Categories = [(c.id, c.name) for c in TRAIN_CLASSES]

_CITYSCAPES_INPUT = InputSettings(
    train_short_edges_px=(800, 832, 864, 896, 928, 960, 992, 1024),
    test_short_edge_px=1024,
    max_long_edge_px=2048,
)


def _one_map_models() -> dict[str, KnownModel]:
    """Mask R-CNN without a pyramid, as detectron2 trained it (configs/Base-RCNN-{C4,DilatedC5})."""
    coco = [(c.id, c.name) for c in COCO_CATEGORIES]
    detector = DetectorSettings(rpn_pre_nms_train=12000, rpn_pre_nms_test=6000, rpn_post_nms=2000)
    inference = InferenceSettings(test=DetectionAtTest(rpn_post_nms=1000))
    models = {}
    for name in ("r50", "r101"):
        trunk = _BACKBONES[f"{name}_fpn"]
        c4 = ModelSettings(
            backbone=trunk,
            detector=detector,
            features="c4",
            mask_head=Res5MaskSettings(kind="res5"),
        )
        dc5 = ModelSettings(
            backbone=trunk.model_copy(update={"output_stride": 16}),
            detector=detector,
            features="c5",
            mask_head=_HEADS["mask_rcnn"],
        )
        for features, model in (("c4", c4), ("dc5", dc5)):
            known = KnownModel(model, InputSettings(), coco, inference)
            models[f"mask_rcnn_{name}_{features}_coco"] = known
    return models


def _instance_models() -> dict[str, KnownModel]:
    coco = [(c.id, c.name) for c in COCO_CATEGORIES]
    models = {}
    for head, mask_head in _HEADS.items():
        for trunk, backbone in _BACKBONES.items():
            settings = ModelSettings(backbone=backbone, mask_head=mask_head)
            models[f"{head}_{trunk}_coco"] = KnownModel(settings, InputSettings(), coco)
        settings = ModelSettings(backbone=_BACKBONES["r50_fpn"], mask_head=mask_head)
        models[f"{head}_r50_fpn_cityscapes"] = KnownModel(
            settings, _CITYSCAPES_INPUT, _CITYSCAPES_INSTANCES
        )
    return models | {"keypoint_rcnn_r50_fpn_coco": _keypoint_rcnn()}


def _keypoint_rcnn() -> KnownModel:
    """detectron2's COCO-Keypoints/keypoint_rcnn_R_50_FPN: people, and no masks."""
    settings = ModelSettings(
        backbone=_BACKBONES["r50_fpn"],
        mask_head=NoMaskSettings(kind="none"),
        keypoint_head=KeypointHeadSettings(num_keypoints=len(COCO_PERSON)),
    )
    person = [(c.id, c.name) for c in COCO_CATEGORIES if c.name == "person"]
    return KnownModel(settings, InputSettings(), person, keypoints=COCO_KEYPOINTS)


# The trunk of detectron2's DeepLabs: RGB, as in projects/DeepLab/configs.
_R103 = BackboneSettings(
    name="resnet103",
    stride_in_1x1=False,
    norm="sync_bn",
    freeze_at=0,
    output_stride=16,
    multi_grid=(1, 2, 4),
    channel_order="RGB",
    pixel_mean=(123.675, 116.280, 103.530),
    pixel_std=(58.395, 57.120, 57.375),
)


def _semantic_models() -> dict[str, KnownModel]:
    """Settings are those of the weights: detectron2's where it has published weights.

    It trained DeepLabV3 on 512x1024 crops and their hardest pixels, lets SemanticFPN's point head
    see the coarse prediction in its first layer only, and ranks points by logits. DeepLabV3 with
    PointRend has not been published: that one follows the paper.
    """
    r101 = BackboneSettings(name="resnet101", freeze_at=0)
    fpn = SemanticFPNSettings(kind="semantic_fpn")
    fpn_points = SemanticPointRendSettings(
        train_points=2048, coarse_in_each_layer=False, uncertainty="logits"
    )
    deeplab = DeepLabV3Settings(
        kind="deeplabv3", image_pooling_px=(512, 1024), hard_pixel_fraction=0.2
    )
    paper_deeplab = DeepLabV3Settings(kind="deeplabv3")
    paper_points = SemanticPointRendSettings(train_points=2304)
    models = {
        "deeplabv3_r103": SemanticModelSettings(backbone=_R103, decoder=deeplab),
        "deeplabv3_pointrend_r103": SemanticModelSettings(
            backbone=_R103, decoder=paper_deeplab, pointrend=paper_points
        ),
        "semantic_fpn_r101": SemanticModelSettings(backbone=r101, decoder=fpn),
        "semantic_fpn_pointrend_r101": SemanticModelSettings(
            backbone=r101, decoder=fpn, pointrend=fpn_points
        ),
    }
    points_per_step = {"semantic_fpn_pointrend_r101": 8192}  # detectron2's
    return {
        f"{name}_cityscapes": KnownModel(
            settings,
            _CITYSCAPES_INPUT,
            _CITYSCAPES_CLASSES,
            SemanticInferenceSettings(points_per_step=points_per_step.get(name, 8096)),
        )
        for name, settings in models.items()
    }


def _proposal_models() -> dict[str, KnownModel]:
    """DeepMask and SharpMask as their authors have published weights of them.

    Their SharpMask differs from the paper's in what the settings name here (docs/sharpmask.md).
    `sharpmask_r50_fpn_coco` is another model: Mask R-CNN with a mask head in SharpMask's style.
    """
    refinement = RefinementSettings(
        upsampling="nearest", skip_channels=(64, 64, 64, 32), extra_vertical_conv=True
    )
    models = {
        "deepmask_r50_coco": DeepMaskModelSettings(),
        "sharpmask_r50_coco": DeepMaskModelSettings(refinement=refinement),
    }
    categories: Categories = [(1, "object")]  # of no class
    return {
        name: KnownModel(settings, InputSettings(), categories, DeepMaskInferenceSettings())
        for name, settings in models.items()
    }


KNOWN_MODELS: dict[str, KnownModel] = (
    _instance_models()
    | _semantic_models()
    | _one_map_models()
    | _proposal_models()
    | mmdetection_models()
)


def known_model(name: str) -> KnownModel:
    """Return the definition of a known model.

    Raises:
        UserError: there is no such model; the message suggests one.
    """
    if name in KNOWN_MODELS:
        return KNOWN_MODELS[name]
    hint = suggest(name, list_models()) or "; pointrend_repro.list_models() says which there are"
    raise UserError(f"there is no model {name!r}{hint}")


def list_models() -> list[str]:
    """Return the names that `load_model` accepts, `<head>_<backbone>_<dataset>` each."""
    return list(KNOWN_MODELS)
