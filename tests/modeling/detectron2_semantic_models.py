"""detectron2's semantic models on a case; importing this needs detectron2.

Used by `benchmarks/record_detectron2_semantic.py`.
"""

import numpy as np
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import build_model
from detectron2.projects import deeplab, point_rend
from detectron2.projects.deeplab.semantic_seg import DeepLabV3Head
from detectron2_models import ZOO
from semantic_cases import (
    NUM_CLASSES,
    SemanticCase,
    make_images,
    make_labels,
    seeded_points,
)

from pointrend_repro.checkpoints.detectron2_names import to_detectron2
from pointrend_repro.modeling.semantic.model import SemanticModel
from pointrend_repro.settings.semantic import DeepLabV3Settings, SemanticFPNSettings


def _coarse_layers(head: DeepLabV3Head, features: dict[str, torch.Tensor]) -> torch.Tensor:
    return head.predictor(head.aspp(features["res5"]))


# PointRend asks its coarse head for `layers`, which every head of detectron2's has but this one:
# the reason why DeepLabV3 with PointRend does not run there.
DeepLabV3Head.layers = _coarse_layers


def build_detectron2(case: SemanticCase) -> torch.nn.Module:
    """detectron2's own model of a case, with its own random weights."""
    cfg = get_cfg()
    point_rend.add_pointrend_config(cfg)
    deeplab.add_deeplab_config(cfg)
    match case.settings.decoder:
        case DeepLabV3Settings() as decoder:
            _set_deeplab(cfg, case, decoder)
        case SemanticFPNSettings() as decoder:
            _set_semantic_fpn(cfg, decoder)
    cfg.MODEL.META_ARCHITECTURE = "SemanticSegmentor"
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    cfg.MODEL.RESNETS.DEPTH = 101
    cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES = NUM_CLASSES
    if case.settings.pointrend is not None:
        _set_pointrend(cfg, case)
    cfg.MODEL.DEVICE = "cpu"
    return build_model(cfg).eval()


def _set_deeplab(cfg: CfgNode, case: SemanticCase, decoder: DeepLabV3Settings) -> None:
    """What projects/DeepLab/configs sets for deeplab_v3_R_103_os16_mg124_poly_90k_bs16."""
    backbone = case.settings.backbone
    dilated = backbone.output_stride == 8
    cfg.merge_from_file(str(ZOO / "Base-RCNN-DilatedC5.yaml"))
    cfg.MODEL.BACKBONE.NAME = "build_resnet_deeplab_backbone"
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = list(backbone.pixel_mean), list(backbone.pixel_std)
    resnets, head = cfg.MODEL.RESNETS, cfg.MODEL.SEM_SEG_HEAD
    resnets.NORM, resnets.STEM_TYPE, resnets.STEM_OUT_CHANNELS = "SyncBN", "deeplab", 128
    resnets.STRIDE_IN_1X1 = False
    resnets.RES4_DILATION, resnets.RES5_DILATION = (2, 4) if dilated else (1, 2)
    resnets.RES5_MULTI_GRID = [1, 2, 4]
    resnets.OUT_FEATURES = ["res2", "res5"]
    head.NAME, head.NORM, head.IN_FEATURES = "DeepLabV3Head", "SyncBN", ["res5"]
    head.COMMON_STRIDE, head.CONVS_DIM, head.ASPP_CHANNELS = backbone.output_stride, 256, 256
    head.ASPP_DILATIONS = [12, 24, 36] if dilated else [6, 12, 18]
    head.ASPP_DROPOUT = decoder.dropout
    head.LOSS_TYPE = "hard_pixel_mining"
    cfg.INPUT.CROP.ENABLED, cfg.INPUT.CROP.TYPE = True, "absolute"
    cfg.INPUT.CROP.SIZE = list(decoder.image_pooling_px or ())


def _set_semantic_fpn(cfg: CfgNode, decoder: SemanticFPNSettings) -> None:
    cfg.merge_from_file(str(ZOO / "Base-RCNN-FPN.yaml"))
    head = cfg.MODEL.SEM_SEG_HEAD
    finest = int(decoder.finest_level[1])
    head.NAME, head.NORM = "SemSegFPNHead", "GN"
    head.IN_FEATURES = [f"p{level}" for level in range(finest, 6)]
    head.COMMON_STRIDE = 2**finest


def _set_pointrend(cfg: CfgNode, case: SemanticCase) -> None:
    settings, head = case.settings.pointrend, cfg.MODEL.POINT_HEAD
    assert settings is not None
    head.COARSE_SEM_SEG_HEAD_NAME = cfg.MODEL.SEM_SEG_HEAD.NAME
    cfg.MODEL.SEM_SEG_HEAD.NAME = "PointRendSemSegHead"
    head.NUM_CLASSES, head.COARSE_PRED_EACH_LAYER = NUM_CLASSES, settings.coarse_in_each_layer
    head.IN_FEATURES = ["res2" if head.COARSE_SEM_SEG_HEAD_NAME == "DeepLabV3Head" else "p2"]
    head.TRAIN_NUM_POINTS, head.SUBDIVISION_NUM_POINTS = settings.train_points, case.points_per_step
    head.SUBDIVISION_STEPS = int(np.log2(cfg.MODEL.SEM_SEG_HEAD.COMMON_STRIDE))


def copy_weights(ours: SemanticModel, theirs: torch.nn.Module) -> None:
    """Load our weights into detectron2's model."""
    theirs.load_state_dict(to_detectron2(ours.state_dict()))


def predict_detectron2(theirs: torch.nn.Module, case: SemanticCase) -> np.ndarray:
    """Label map of the case's image, (H, W) uint8."""
    (image,) = make_images(case)
    with torch.no_grad():
        (output,) = theirs([{"image": _in_order(image, case)}])
    return output["sem_seg"].argmax(dim=0).numpy().astype(np.uint8)


def losses_detectron2(theirs: torch.nn.Module, case: SemanticCase) -> dict[str, float]:
    """Losses of one training step on two images."""
    images, labels = make_images(case, 2), make_labels(case, 2)
    batch = [
        {"image": _in_order(image, case), "sem_seg": one}
        for image, one in zip(images, labels, strict=True)
    ]
    theirs.train()
    with seeded_points(case.seed):
        losses = theirs(batch)
    theirs.eval()
    return {name: float(value) for name, value in losses.items()}


def _in_order(image: torch.Tensor, case: SemanticCase) -> torch.Tensor:
    return image.flip(0) if case.settings.backbone.channel_order == "BGR" else image
