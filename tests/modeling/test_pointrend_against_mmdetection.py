"""Outputs of mmdetection's PointRend and trunks, recorded by `record_mmdetection_pointrend.py`."""

import json
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdetection_pointrend_cases import (
    DETECTIONS,
    RECORDED,
    TRUNKS,
    make_image,
    make_model,
    make_weights,
)
from torch import Tensor

from pointrend_repro.checkpoints.fit import known_shapes
from pointrend_repro.checkpoints.mmdetection_names import from_mmdetection, is_mmdetection
from pointrend_repro.checkpoints.torchvision_names import from_torchvision
from pointrend_repro.modeling.resnet import ResNet
from pointrend_repro.settings.instances import InferenceSettings


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    with np.load(RECORDED) as file:
        return dict(file)


def close(ours: Tensor, theirs: Any, tolerance: float) -> None:
    torch.testing.assert_close(ours, torch.from_numpy(theirs), rtol=0, atol=tolerance)


def test_objects_are_mmdetections(recorded: dict[str, Any]) -> None:
    (found,) = make_model().detect([make_image()], InferenceSettings())
    assert len(found.scores) == len(recorded["scores"]) == DETECTIONS
    close(found.scores, recorded["scores"], 1e-5)
    assert found.labels.tolist() == recorded["labels"].tolist()
    close(found.boxes, recorded["boxes"], 1e-3)
    assert found.mask_logits is not None
    close(found.mask_logits[:, 3::8, 3::8], recorded["mask_logits"], 1e-3)


@pytest.mark.parametrize("name", TRUNKS)
def test_maps_of_trunks_with_gc_blocks_are_mmdetections(
    recorded: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since its version 2, its Res2Net averages nothing in the first block of res2.

    Its authors do, and so did mmdetection 1.1 and do we.
    """

    def unless_in_place(x: Tensor, kernel_size: int, stride: int, **others: Any) -> Tensor:
        return x if stride == 1 else average(x, kernel_size, stride, **others)

    average = F.avg_pool2d
    monkeypatch.setattr(F, "avg_pool2d", unless_in_place)
    trunk = ResNet(name, norm="frozen_bn", stride_in_1x1=False, freeze_at=0, context_ratio=1 / 4)
    trunk.load_state_dict(make_weights(trunk.state_dict().items()))
    with torch.no_grad():
        maps = trunk.eval()(make_image()[None] / 128 - 1)
    for stage, each in maps.items():
        close(each[:, ::8], recorded[f"{name}.{stage}"], 1e-3)
    theirs = json.loads(str(recorded[f"names_of_{name}"]))
    ours = {n: list(t.shape) for n, t in trunk.state_dict().items()}
    assert from_torchvision(theirs) == ours


def test_names_and_shapes_of_the_published_model(recorded: dict[str, Any]) -> None:
    theirs = json.loads(str(recorded["names"]))
    assert is_mmdetection(theirs)
    ours = {name: list(shape) for name, shape in known_shapes("pointrend_r50_fpn_coco").items()}
    assert from_mmdetection(theirs) == ours
