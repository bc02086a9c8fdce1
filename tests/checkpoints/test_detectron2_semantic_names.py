import pytest
import torch

from pointrend_repro.checkpoints.detectron2_semantic_names import (
    semantic_from_detectron2,
    semantic_to_detectron2,
)
from pointrend_repro.modeling.semantic.model import SemanticModel
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.semantic import (
    DeepLabV3Settings,
    SemanticFPNSettings,
    SemanticModelSettings,
    SemanticPointRendSettings,
)

POINTREND = SemanticPointRendSettings(train_points=16, channels=8)
TRUNK = {"name": "resnet18_narrow", "fpn_channels": 8}
DILATED = BackboneSettings.model_validate(TRUNK | {"output_stride": 16, "norm": "bn"})
DEEPLAB = DeepLabV3Settings(kind="deeplabv3", channels=8)
FPN = SemanticFPNSettings(kind="semantic_fpn", channels=32)


@pytest.mark.parametrize("pointrend", [None, POINTREND], ids=["plain", "pointrend"])
@pytest.mark.parametrize("decoder", [DEEPLAB, FPN], ids=lambda d: d.kind)
def test_names_go_there_and_back(
    decoder: DeepLabV3Settings | SemanticFPNSettings, pointrend: SemanticPointRendSettings | None
) -> None:
    backbone = DILATED if decoder is DEEPLAB else BackboneSettings.model_validate(TRUNK)
    settings = SemanticModelSettings(backbone=backbone, decoder=decoder, pointrend=pointrend)
    state = SemanticModel(settings, 5).state_dict()
    theirs = semantic_to_detectron2(state)
    assert len(theirs) == len(state)
    assert not any(name.startswith(("decoder.", "refiner.")) for name in theirs)
    back = semantic_from_detectron2(theirs)
    assert list(back) == list(state)
    assert all(back[name] is state[name] for name in state)


# Written down from detectron2's modules (commit 02b5c4e2).
KNOWN = {
    "deeplabv3": {
        "backbone.bottom_up.stem.conv3.norm.running_var": "backbone.stem.conv3.norm.running_var",
        "decoder.aspp.convs.0.weight": "sem_seg_head.aspp.convs.0.weight",
        "decoder.aspp.convs.3.norm.bias": "sem_seg_head.aspp.convs.3.norm.bias",
        "decoder.aspp.image_pooling.bias": "sem_seg_head.aspp.convs.4.1.bias",
        "decoder.aspp.project.norm.weight": "sem_seg_head.aspp.project.norm.weight",
        "decoder.predictor.weight": "sem_seg_head.predictor.weight",
    },
    "semantic_fpn_pointrend": {
        "backbone.bottom_up.res4.22.conv2.weight": "backbone.bottom_up.res4.22.conv2.weight",
        "backbone.fpn.inner_blocks.0.0.weight": "backbone.fpn.inner_blocks.0.0.weight",
        "decoder.levels.p5.convs.2.norm.weight": (
            "sem_seg_head.coarse_sem_seg_head.p5.4.norm.weight"
        ),
        "decoder.levels.p2.convs.0.weight": "sem_seg_head.coarse_sem_seg_head.p2.0.weight",
        "decoder.predictor.bias": "sem_seg_head.coarse_sem_seg_head.predictor.bias",
        "refiner.point_head.layers.0.weight": "sem_seg_head.point_head.fc1.weight",
        "refiner.point_head.predictor.bias": "sem_seg_head.point_head.predictor.bias",
    },
}


@pytest.mark.parametrize("kind", KNOWN)
def test_names_are_detectron2s(kind: str) -> None:
    tensors = {name: torch.zeros(1) for name in KNOWN[kind]}
    assert list(semantic_to_detectron2(tensors)) == list(KNOWN[kind].values())


def test_other_models_are_left_alone() -> None:
    detector = {"backbone.bottom_up.stem.conv1.weight": 1, "roi_heads.box_head.fc1.weight": 2}
    assert semantic_to_detectron2(detector) == detector
    assert semantic_from_detectron2(detector) == detector
    trunk = {"stem.conv1.weight": 1, "backbone.res2.0.conv1.weight": 2}
    assert semantic_from_detectron2(trunk) == trunk
